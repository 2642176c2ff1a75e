#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>

#include "image_codecs.h"

// Limits ancillary chunks, such as comments and colour profiles, because decoding does not need them.
enum { max_chunks = 1000, max_chunk_bytes = 8 << 20 };

typedef struct {
  const uint8_t* bytes;
  size_t left;
} source;

typedef struct {
  uint8_t* bytes;
  size_t count;
  size_t capacity;
} sink;

static void fail(png_structp png, png_const_charp text) {
  snprintf((char*)png_get_error_ptr(png), IC_MESSAGE_SIZE, "%s", text);
  png_longjmp(png, 1);
}

static void ignore(png_structp png, png_const_charp text) {
  (void)png;
  (void)text;
}

static void read_from(png_structp png, png_bytep to, size_t count) {
  source* from = png_get_io_ptr(png);
  if (count > from->left) png_error(png, "it is cut off");
  memcpy(to, from->bytes, count);
  from->bytes += count;
  from->left -= count;
}

static void write_to(png_structp png, png_bytep from, size_t count) {
  sink* to = png_get_io_ptr(png);
  if (count > to->capacity - to->count) {
    const size_t capacity = 2 * (to->count + count);
    uint8_t* grown = realloc(to->bytes, capacity);
    if (!grown) png_error(png, "there is not enough memory");
    to->bytes = grown;
    to->capacity = capacity;
  }
  memcpy(to->bytes + to->count, from, count);
  to->count += count;
}

static void flush(png_structp png) { (void)png; }

int ic_is_png(const uint8_t* bytes, size_t count) { return count >= 8 && png_sig_cmp(bytes, 0, 8) == 0; }

int ic_png_decode(const uint8_t* bytes, size_t count, int64_t max_pixels, int size_only, ic_image* out) {
  source from = {bytes, count};
  png_infop info = NULL;
  // volatile, because longjmp may restore an old value of a local variable that changed after setjmp.
  png_bytepp volatile rows = NULL;
  out->pixels = NULL;
  out->orientation = 1;
  png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, out->message, fail, ignore);
  if (png) info = png_create_info_struct(png);
  if (!info) {
    snprintf(out->message, IC_MESSAGE_SIZE, "libpng could not start");
    png_destroy_read_struct(&png, NULL, NULL);
    return IC_FAILED;
  }
  if (setjmp(png_jmpbuf(png))) {
    png_destroy_read_struct(&png, &info, NULL);
    free(rows);
    ic_image_free(out);
    return IC_FAILED;
  }
  png_set_read_fn(png, &from, read_from);
  png_set_chunk_cache_max(png, max_chunks);
  png_set_chunk_malloc_max(png, max_chunk_bytes);
  png_read_info(png, info);
  const uint32_t width = png_get_image_width(png, info), height = png_get_image_height(png, info);
  if ((int64_t)width * height > max_pixels) {
    snprintf(out->message, IC_MESSAGE_SIZE, "it has %u x %u pixels; at most %lld are allowed", width, height,
             (long long)max_pixels);
    png_longjmp(png, 1);
  }
  out->width = (int32_t)width;
  out->height = (int32_t)height;
  if (size_only) {
    png_destroy_read_struct(&png, &info, NULL);
    return IC_OK;
  }
  png_set_expand(png);
  png_set_scale_16(png);
  png_set_gray_to_rgb(png);
  png_set_strip_alpha(png);
  png_set_interlace_handling(png);
  png_read_update_info(png, info);
  const size_t stride = 3 * (size_t)width;
  if (png_get_rowbytes(png, info) != stride) png_error(png, "its colour type is unknown");
  out->pixels = malloc(stride * height);
  rows = malloc(height * sizeof(png_bytep));
  if (!out->pixels || !rows) png_error(png, "there is not enough memory");
  for (uint32_t y = 0; y < height; ++y) rows[y] = out->pixels + stride * y;
  png_read_image(png, rows);
  png_read_end(png, NULL);
  png_destroy_read_struct(&png, &info, NULL);
  free(rows);
  return IC_OK;
}

int ic_png_encode(const uint8_t* pixels, int32_t width, int32_t height, uint8_t** out, size_t* out_count,
                  char message[IC_MESSAGE_SIZE]) {
  sink to = {NULL, 0, 0};
  png_infop info = NULL;
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, message, fail, ignore);
  if (png) info = png_create_info_struct(png);
  if (!info) {
    snprintf(message, IC_MESSAGE_SIZE, "libpng could not start");
    png_destroy_write_struct(&png, NULL);
    return 1;
  }
  if (setjmp(png_jmpbuf(png))) {
    png_destroy_write_struct(&png, &info);
    free(to.bytes);
    return 1;
  }
  png_set_write_fn(png, &to, write_to, flush);
  png_set_IHDR(png, info, (uint32_t)width, (uint32_t)height, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(png, info);
  for (int32_t y = 0; y < height; ++y) png_write_row(png, pixels + 3 * (size_t)width * (size_t)y);
  png_write_end(png, info);
  png_destroy_write_struct(&png, &info);
  *out = to.bytes;
  *out_count = to.count;
  return 0;
}
