#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

#include "image_codecs.h"

// Limits the scans of a progressive file, because a small file could hold very many slow ones. Real encoders write about ten.
enum { max_scans = 200 };

typedef struct {
  struct jpeg_error_mgr base;
  jmp_buf escape;
  char* message;
} errors;

static void fail(j_common_ptr info) {
  errors* self = (errors*)info->err;
  char text[JMSG_LENGTH_MAX];
  self->base.format_message(info, text);
  snprintf(self->message, IC_MESSAGE_SIZE, "%s", text);
  longjmp(self->escape, 1);
}

// Turns warnings about damage into errors, because libjpeg would continue with grey or garbage. Stray bytes between the parts of a
// file are no error, because some cameras write them.
static void handle_warning(j_common_ptr info, int level) {
  if (level >= 0) return;
  switch (info->err->msg_code) {
    case JWRN_JPEG_EOF:
    case JWRN_HIT_MARKER:
    case JWRN_HUFF_BAD_CODE:
    case JWRN_ARITH_BAD_CODE:
    case JWRN_NOT_SEQUENTIAL:
    case JWRN_BOGUS_PROGRESSION: fail(info);
  }
}

static void ignore_message(j_common_ptr info) { (void)info; }

static void limit_scans(j_common_ptr info) {
  if (((j_decompress_ptr)info)->input_scan_number > max_scans) {
    errors* self = (errors*)info->err;
    snprintf(self->message, IC_MESSAGE_SIZE, "it has more than %d scans", max_scans);
    longjmp(self->escape, 1);
  }
}

int ic_is_jpeg(const uint8_t* bytes, size_t count) {
  return count >= 3 && bytes[0] == 0xFF && bytes[1] == 0xD8 && bytes[2] == 0xFF;
}

// Converts a row of inverted cyan, magenta, yellow and black, as Adobe's programs write it.
static void cmyk_row_to_rgb(const uint8_t* from, uint8_t* to, uint32_t width) {
  for (uint32_t x = 0; x < width; ++x) {
    for (int c = 0; c < 3; ++c) to[3 * x + c] = (uint8_t)((from[4 * x + c] * from[4 * x + 3] + 127) / 255);
  }
}

int ic_jpeg_decode(const uint8_t* bytes, size_t count, int64_t max_pixels, int size_only, ic_image* out) {
  struct jpeg_decompress_struct info;
  struct jpeg_progress_mgr progress = {.progress_monitor = limit_scans};
  errors errors = {.message = out->message};
  // volatile, because longjmp may restore an old value of a local variable that changed after setjmp.
  uint8_t* volatile row = NULL;
  out->pixels = NULL;
  out->orientation = 1;
  memset(&info, 0, sizeof info);
  info.err = jpeg_std_error(&errors.base);
  errors.base.error_exit = fail;
  errors.base.emit_message = handle_warning;
  errors.base.output_message = ignore_message;
  if (setjmp(errors.escape)) {
    jpeg_destroy_decompress(&info);
    free(row);
    ic_image_free(out);
    return IC_FAILED;
  }
  jpeg_create_decompress(&info);
  info.progress = &progress;
  jpeg_mem_src(&info, bytes, count);
  jpeg_read_header(&info, TRUE);
  if ((int64_t)info.image_width * info.image_height > max_pixels) {
    snprintf(out->message, IC_MESSAGE_SIZE, "it has %u x %u pixels; at most %lld are allowed", info.image_width, info.image_height,
             (long long)max_pixels);
    longjmp(errors.escape, 1);
  }
  out->width = (int32_t)info.image_width;
  out->height = (int32_t)info.image_height;
  if (size_only) {
    jpeg_destroy_decompress(&info);
    return IC_OK;
  }
  const int is_cmyk = info.jpeg_color_space == JCS_CMYK || info.jpeg_color_space == JCS_YCCK;
  info.out_color_space = is_cmyk ? JCS_CMYK : JCS_RGB;
  jpeg_start_decompress(&info);
  const size_t stride = 3 * (size_t)info.output_width;
  out->pixels = malloc(stride * info.output_height);
  if (is_cmyk) row = malloc(4 * (size_t)info.output_width);
  if (!out->pixels || (is_cmyk && !row)) {
    snprintf(out->message, IC_MESSAGE_SIZE, "there is not enough memory");
    longjmp(errors.escape, 1);
  }
  while (info.output_scanline < info.output_height) {
    uint8_t* target = out->pixels + stride * info.output_scanline;
    JSAMPROW lines[1] = {is_cmyk ? row : target};
    if (jpeg_read_scanlines(&info, lines, 1) == 1 && is_cmyk) cmyk_row_to_rgb(row, target, info.output_width);
  }
  jpeg_finish_decompress(&info);
  jpeg_destroy_decompress(&info);
  free(row);
  return IC_OK;
}

void ic_image_free(ic_image* image) {
  free(image->pixels);
  image->pixels = NULL;
}
