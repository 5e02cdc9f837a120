/*
 * A module of gallery: WebP, by the system's libwebp. Of an animation, the first picture.
 */
#include <stdbool.h>
#include <string.h>
#include <webp/decode.h>
#include <webp/demux.h>

#include "shrink.h"

__attribute__((visibility("default"))) int decode(const struct ayre_request *request,
                                                  struct ayre_reply *reply);

static const char *const words[] = {
	[VP8_STATUS_OUT_OF_MEMORY] = "too large for the memory that a picture has",
	[VP8_STATUS_BITSTREAM_ERROR] = "damaged WebP: what it says makes no sense",
	[VP8_STATUS_UNSUPPORTED_FEATURE] = "WebP with something that libwebp cannot do",
	[VP8_STATUS_NOT_ENOUGH_DATA] = "damaged WebP: cut short",
};

static int fail(VP8StatusCode status, struct ayre_reply *reply)
{
	const char *why = (size_t)status < sizeof(words) / sizeof(*words) ? words[status] : NULL;

	return shrink_fail(reply, why ? why : "damaged WebP");
}

static bool is_webp(const WebPData *data)
{
	return data->size >= 12 && memcmp(data->bytes, "RIFF", 4) == 0 &&
	       memcmp(data->bytes + 8, "WEBP", 4) == 0;
}

/* To the first picture of an animation, from the whole of it. */
static bool take_first(WebPData *data)
{
	WebPDemuxer *demuxer = WebPDemux(data);
	WebPIterator first;

	if (!demuxer || !WebPDemuxGetFrame(demuxer, 1, &first))
		return false;
	*data = first.fragment;
	return true;
}

int decode(const struct ayre_request *request, struct ayre_reply *reply)
{
	struct tile_request room = shrink_room(request);
	WebPData data = {request->input, request->input_bytes};
	WebPDecoderConfig config;
	struct shrink shrink;
	VP8StatusCode status;
	const char *why;

	if (!data.bytes || !is_webp(&data))
		return shrink_fail(reply, "not a WebP");
	if (!WebPInitDecoderConfig(&config))
		return shrink_fail(reply, "another libwebp than it was built for");
	config.output.colorspace = MODE_RGBA;
	status = WebPGetFeatures(data.bytes, data.size, &config.input);
	if (status == VP8_STATUS_OK && config.input.has_animation && !take_first(&data))
		return shrink_fail(reply, "damaged WebP: an animation without pictures");
	if (status == VP8_STATUS_OK)
		status = WebPDecode(data.bytes, data.size, &config);
	if (status != VP8_STATUS_OK)
		return fail(status, reply);
	why = shrink_begin(&shrink, (uint32_t)config.output.width, (uint32_t)config.output.height,
	                   room.width, room.height);
	if (why)
		return shrink_fail(reply, why);
	for (uint32_t y = 0; y < shrink.height; y++)
		shrink_row(&shrink,
		           config.output.u.RGBA.rgba + y * (size_t)config.output.u.RGBA.stride);
	return shrink_finish(&shrink, 1, shrink.width, shrink.height, reply);
}
