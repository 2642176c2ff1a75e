#include <dlfcn.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "image_codecs.h"

// The types and functions of tiffio.h that this file calls. They have had these types since libtiff 4.0.
typedef struct tiff TIFF;
typedef void (*handler)(const char* module, const char* format, va_list arguments);
typedef ssize_t (*transfer)(void* file, void* buffer, ssize_t count);
typedef uint64_t (*seek)(void* file, uint64_t offset, int whence);

static struct {
  TIFF* (*open)(const char* name, const char* mode, void* file, transfer read, transfer write, seek seek, int (*close)(void*),
                uint64_t (*size)(void*), int (*map)(void*, void**, uint64_t*), void (*unmap)(void*, void*, uint64_t));
  void (*close)(TIFF*);
  int (*get)(TIFF*, uint32_t tag, ...);
  int (*get_defaulted)(TIFF*, uint32_t tag, ...);
  int (*set)(TIFF*, uint32_t tag, ...);
  int (*read)(TIFF*, uint32_t width, uint32_t height, uint32_t* raster, int orientation, int stop_on_error);
  ssize_t (*strip_size)(TIFF*);
  ssize_t (*tile_size)(TIFF*);
  int (*is_tiled)(TIFF*);
} tiff;

enum { tag_width = 256, tag_height = 257, tag_orientation = 274, tag_extra_samples = 338, top_left = 1, associated_alpha = 1 };

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int is_open = 0;
// The message of the current call, because libtiff's handler of errors is one for the whole process.
static _Thread_local char* message = NULL;

static void keep_message(const char* module, const char* format, va_list arguments) {
  (void)module;
  if (message) vsnprintf(message, IC_MESSAGE_SIZE, format, arguments);
}

// libtiff only warns of a tag that lies past the end of a file, and then makes up a palette. Other warnings are harmless.
static void keep_lost_tag(const char* module, const char* format, va_list arguments) {
  if (strstr(format, "IO error")) keep_message(module, format, arguments);
}

static void open_library(void) {
  void* library = dlopen("libtiff.so.6", RTLD_NOW | RTLD_LOCAL);
  if (!library) library = dlopen("libtiff.so.5", RTLD_NOW | RTLD_LOCAL);
  if (!library) return;
  handler (*set_handler)(handler) = NULL;
  handler (*set_warning_handler)(handler) = NULL;
  const struct {
    void** function;
    const char* name;
  } wanted[] = {
      {(void**)&tiff.open, "TIFFClientOpen"},
      {(void**)&tiff.close, "TIFFClose"},
      {(void**)&tiff.get, "TIFFGetField"},
      {(void**)&tiff.get_defaulted, "TIFFGetFieldDefaulted"},
      {(void**)&tiff.set, "TIFFSetField"},
      {(void**)&tiff.read, "TIFFReadRGBAImageOriented"},
      {(void**)&tiff.strip_size, "TIFFStripSize"},
      {(void**)&tiff.tile_size, "TIFFTileSize"},
      {(void**)&tiff.is_tiled, "TIFFIsTiled"},
      {(void**)&set_handler, "TIFFSetErrorHandler"},
      {(void**)&set_warning_handler, "TIFFSetWarningHandler"},
  };
  for (size_t i = 0; i < sizeof wanted / sizeof *wanted; ++i) {
    *wanted[i].function = dlsym(library, wanted[i].name);
    if (!*wanted[i].function) return;
  }
  set_handler(keep_message);
  set_warning_handler(keep_lost_tag);
  is_open = 1;
}

typedef struct {
  const uint8_t* bytes;
  size_t count;
  uint64_t position;
} source;

static ssize_t read_from(void* file, void* buffer, ssize_t count) {
  source* from = file;
  if (count < 0 || from->position >= from->count) return 0;
  const size_t left = from->count - (size_t)from->position;
  const size_t taken = (size_t)count < left ? (size_t)count : left;
  memcpy(buffer, from->bytes + from->position, taken);
  from->position += taken;
  return (ssize_t)taken;
}

static ssize_t write_nothing(void* file, void* buffer, ssize_t count) {
  (void)file;
  (void)buffer;
  (void)count;
  return -1;
}

static uint64_t seek_to(void* file, uint64_t offset, int whence) {
  source* from = file;
  from->position = offset + (whence == SEEK_CUR ? from->position : whence == SEEK_END ? from->count : 0);
  return from->position;
}

static int close_nothing(void* file) {
  (void)file;
  return 0;
}

static uint64_t size_of(void* file) { return ((source*)file)->count; }

int ic_is_tiff(const uint8_t* bytes, size_t count) {
  return count >= 8 && (memcmp(bytes, "II*\0", 4) == 0 || memcmp(bytes, "MM\0*", 4) == 0 || memcmp(bytes, "II+\0", 4) == 0 ||
                        memcmp(bytes, "MM\0+", 4) == 0);
}

// Marks alpha as multiplied into the colours already, so that libtiff leaves the colours as they are.
static void keep_colours(TIFF* file) {
  uint16_t count = 0, *kinds = NULL;
  tiff.get_defaulted(file, tag_extra_samples, &count, &kinds);
  if (count != 1) return;
  uint16_t kind = associated_alpha;
  tiff.set(file, tag_extra_samples, 1, &kind);
}

static int decode(TIFF* file, int64_t max_pixels, int size_only, ic_image* out) {
  uint32_t width = 0, height = 0;
  uint16_t orientation = top_left;
  if (!tiff.get(file, tag_width, &width) || !tiff.get(file, tag_height, &height) || width < 1 || height < 1) {
    snprintf(out->message, IC_MESSAGE_SIZE, "it gives no width and height");
    return IC_FAILED;
  }
  if ((int64_t)width * height > max_pixels || width > INT32_MAX || height > INT32_MAX) {
    snprintf(out->message, IC_MESSAGE_SIZE, "it has %u x %u pixels; at most %lld are allowed", width, height,
             (long long)max_pixels);
    return IC_FAILED;
  }
  tiff.get_defaulted(file, tag_orientation, &orientation);
  out->width = (int32_t)width;
  out->height = (int32_t)height;
  out->orientation = orientation >= 1 && orientation <= 8 ? orientation : top_left;
  if (size_only) return IC_OK;
  // A damaged header may declare strips or tiles far larger than the picture. A tile of a small picture has at most 1 MiB.
  const ssize_t piece = tiff.is_tiled(file) ? tiff.tile_size(file) : tiff.strip_size(file);
  const int64_t largest = 64 * (int64_t)width * height + (1 << 20);
  if (piece < 1 || piece > largest) {
    snprintf(out->message, IC_MESSAGE_SIZE, "its pieces have an impossible size");
    return IC_FAILED;
  }
  // libtiff would flip the picture by its orientation, but it never exchanges rows and columns; the caller does both.
  tiff.set(file, tag_orientation, top_left);
  keep_colours(file);
  const size_t pixels = (size_t)width * height;
  uint32_t* raster = calloc(pixels, sizeof *raster);
  if (!raster) {
    snprintf(out->message, IC_MESSAGE_SIZE, "there is not enough memory");
    return IC_FAILED;
  }
  if (!tiff.read(file, width, height, raster, top_left, 1)) {
    free(raster);
    return IC_FAILED;
  }
  // The raster has red in the low byte of each word. Each pixel moves to the front, so one buffer serves both.
  uint8_t* bytes = (uint8_t*)raster;
  for (size_t i = 0; i < pixels; ++i) {
    const uint32_t pixel = raster[i];
    bytes[3 * i] = (uint8_t)pixel;
    bytes[3 * i + 1] = (uint8_t)(pixel >> 8);
    bytes[3 * i + 2] = (uint8_t)(pixel >> 16);
  }
  out->pixels = bytes;
  return IC_OK;
}

int ic_tiff_decode(const uint8_t* bytes, size_t count, int64_t max_pixels, int size_only, ic_image* out) {
  out->pixels = NULL;
  out->orientation = top_left;
  pthread_once(&once, open_library);
  if (!is_open) return IC_NO_LIBRARY;
  source from = {bytes, count, 0};
  out->message[0] = 0;
  message = out->message;
  // "m" keeps libtiff from mapping the file into memory.
  TIFF* file = tiff.open("picture", "rm", &from, read_from, write_nothing, seek_to, close_nothing, size_of, NULL, NULL);
  int status = IC_FAILED;
  if (file) {
    status = decode(file, max_pixels, size_only, out);
    if (status == IC_OK && out->message[0]) {
      ic_image_free(out);
      status = IC_FAILED;
    }
    tiff.close(file);
  }
  message = NULL;
  if (status != IC_OK && !out->message[0]) snprintf(out->message, IC_MESSAGE_SIZE, "its directory cannot be read");
  return status;
}
