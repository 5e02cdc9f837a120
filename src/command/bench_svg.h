/*
 * What the pictures of `ayre bench --plot` are made of: their colours, for light and dark, and texts that stay texts.
 */
#pragma once

#include <stdio.h>

#include "command/bench.h"

#define SVG_WIDTH 960

/* Classes of the style: what a row stands for. */
const char *bench_svg_side(enum bench_side side);

/* With what XML would take for its own replaced. */
void bench_svg_text(FILE *file, const char *text);

/*
 * Of a mark, between its tags: which figure it is, for whoever points at it, and for programs; the latter are
 * those of the JSON.
 */
void bench_svg_data(FILE *file, const struct bench_group_result *group, size_t row);
void bench_svg_tooltip(FILE *file, const struct bench_group_result *group, size_t row);

/* How often each was measured. */
void bench_svg_rounds(FILE *file, const struct bench_settings *settings);

#define SVG_TOP 40 /* where the first picture may begin */
/* Everything before the first picture, and behind the last. */
void bench_svg_begin(FILE *file, const struct bench_machine *machine, int height);
void bench_svg_end(FILE *file);

/* A chart for all groups that have the same, and bars for one that has none. Draws from a height; returns the next. */
int bench_chart_draw(FILE *file, const struct bench_report *report, const struct bench_chart *chart,
                     int y);
int bench_chart_height(void);
int bench_bars_draw(FILE *file, const struct bench_report *report,
                    const struct bench_group_result *group, int y);
int bench_bars_height(const struct bench_group_result *group);
