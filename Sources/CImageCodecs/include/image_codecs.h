// Reads JPEG and PNG and writes PNG through libjpeg and libpng. This code is C, because these libraries report errors by long
// jumps, which must not cross Swift's frames.
#ifndef IMAGE_CODECS_H
#define IMAGE_CODECS_H

#include <stddef.h>
#include <stdint.h>

#define IC_MESSAGE_SIZE 200

// A picture: rows from the top, with three bytes per pixel (red, green, blue).
typedef struct {
  uint8_t* pixels;
  int32_t width;
  int32_t height;
  // The cause if a call failed, without the name of the file.
  char message[IC_MESSAGE_SIZE];
} ic_image;

// Return 1 if the bytes begin like a JPEG or a PNG file, else 0.
int ic_is_jpeg(const uint8_t* bytes, size_t count);
int ic_is_png(const uint8_t* bytes, size_t count);

// Decode a whole file to RGB. They repeat grey, look up palette colours, drop alpha, round 16 bits to 8, and read CMYK as Adobe
// writes it. They return 0 on success; the caller then releases the pixels with ic_image_free. An image of more than `max_pixels`
// fails before the allocation of its memory.
int ic_jpeg_decode(const uint8_t* bytes, size_t count, int64_t max_pixels, ic_image* out);
int ic_png_decode(const uint8_t* bytes, size_t count, int64_t max_pixels, ic_image* out);
void ic_image_free(ic_image* image);

// Encodes RGB rows as a PNG file. Returns 0 on success; the caller then releases `*out` with free().
int ic_png_encode(const uint8_t* pixels, int32_t width, int32_t height, uint8_t** out, size_t* out_count,
                  char message[IC_MESSAGE_SIZE]);

#endif
