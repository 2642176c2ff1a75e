#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "image_codecs.h"

// The functions of webp/decode.h that this file calls. They have had these types since libwebp 0.2.
static struct {
  int (*get_info)(const uint8_t* bytes, size_t count, int* width, int* height);
  uint8_t* (*decode)(const uint8_t* bytes, size_t count, uint8_t* out, size_t out_size, int stride);
} webp;

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void open_library(void) {
  void* library = dlopen("libwebp.so.7", RTLD_NOW | RTLD_LOCAL);
  if (!library) library = dlopen("libwebp.so.6", RTLD_NOW | RTLD_LOCAL);
  if (!library) return;
  *(void**)&webp.get_info = dlsym(library, "WebPGetInfo");
  *(void**)&webp.decode = dlsym(library, "WebPDecodeRGBInto");
}

int ic_is_webp(const uint8_t* bytes, size_t count) {
  return count >= 16 && memcmp(bytes, "RIFF", 4) == 0 && memcmp(bytes + 8, "WEBP", 4) == 0;
}

static int is_animated(const uint8_t* bytes, size_t count) {
  return count > 20 && memcmp(bytes + 12, "VP8X", 4) == 0 && (bytes[20] & 2) != 0;
}

static int failed(ic_image* out, const char* text) {
  snprintf(out->message, IC_MESSAGE_SIZE, "%s", text);
  ic_image_free(out);
  return IC_FAILED;
}

int ic_webp_decode(const uint8_t* bytes, size_t count, int64_t max_pixels, int size_only, ic_image* out) {
  out->pixels = NULL;
  out->orientation = 1;
  pthread_once(&once, open_library);
  if (!webp.get_info || !webp.decode) return IC_NO_LIBRARY;
  if (is_animated(bytes, count)) return failed(out, "it is an animation; a single picture is expected");
  int width = 0, height = 0;
  if (!webp.get_info(bytes, count, &width, &height) || width < 1 || height < 1) return failed(out, "its header is wrong");
  if ((int64_t)width * height > max_pixels) {
    char text[IC_MESSAGE_SIZE];
    snprintf(text, sizeof text, "it has %d x %d pixels; at most %lld are allowed", width, height, (long long)max_pixels);
    return failed(out, text);
  }
  out->width = width;
  out->height = height;
  if (size_only) return IC_OK;
  const size_t size = 3 * (size_t)width * (size_t)height;
  out->pixels = malloc(size);
  if (!out->pixels) return failed(out, "there is not enough memory");
  if (!webp.decode(bytes, count, out->pixels, size, 3 * width)) return failed(out, "its pixels cannot be decoded");
  return IC_OK;
}
