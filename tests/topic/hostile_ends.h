/*
 * Ends for a scene. The hostile ones live until they are killed.
 */
#pragma once

int publish_hostilely(void *context);
int publish_with_two_faces(void *context);
int subscribe_hostilely(void *context);

/* One act upon the memory of a lane or a cursor that came without a file. */
struct forged;
void spoil_lane_memory(struct forged *lane);
void spoil_cursor_memory(struct forged *cursor);

/* An honest end of a pair, with one hostile other end after the other; the context is which of four. */
#define PAIR_WAYS 4
int pair_honestly(void *way);
