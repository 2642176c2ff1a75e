// Reads JPEG, PNG, TIFF and WebP and writes PNG through libjpeg, libpng, libtiff and libwebp. This code is C, because libjpeg and
// libpng report errors by long jumps, which must not cross Swift's frames. The program opens libtiff and libwebp when it first
// needs them, so it also builds and runs without them.
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
  // The orientation that a TIFF file declares, 1 to 8; 1 for other files, because torchvision does not turn them.
  int32_t orientation;
  // The cause if a call failed, without the name of the file.
  char message[IC_MESSAGE_SIZE];
} ic_image;

// Return 1 if the bytes begin like a file of the format, else 0.
int ic_is_jpeg(const uint8_t* bytes, size_t count);
int ic_is_png(const uint8_t* bytes, size_t count);
int ic_is_tiff(const uint8_t* bytes, size_t count);
int ic_is_webp(const uint8_t* bytes, size_t count);

enum { IC_OK = 0, IC_FAILED = 1, IC_NO_LIBRARY = 2 };

// Decode a whole file to RGB. They repeat grey, look up palette colours, drop alpha, round 16 bits to 8, and read CMYK as Adobe
// writes it. They return IC_OK on success; the caller then releases the pixels with ic_image_free. An image of more than
// `max_pixels` fails before the allocation of its memory. With `size_only`, they read only the header and set no pixels.
int ic_jpeg_decode(const uint8_t* bytes, size_t count, int64_t max_pixels, int size_only, ic_image* out);
int ic_png_decode(const uint8_t* bytes, size_t count, int64_t max_pixels, int size_only, ic_image* out);

// As above. They return IC_NO_LIBRARY if the machine lacks libtiff or libwebp.
int ic_tiff_decode(const uint8_t* bytes, size_t count, int64_t max_pixels, int size_only, ic_image* out);
int ic_webp_decode(const uint8_t* bytes, size_t count, int64_t max_pixels, int size_only, ic_image* out);
void ic_image_free(ic_image* image);

// Encodes RGB rows as a PNG file. Returns 0 on success; the caller then releases `*out` with free().
int ic_png_encode(const uint8_t* pixels, int32_t width, int32_t height, uint8_t** out, size_t* out_count,
                  char message[IC_MESSAGE_SIZE]);

#endif
