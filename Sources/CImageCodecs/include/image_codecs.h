// JPEG and PNG through libjpeg and libpng, whose errors are long jumps, which must not cross Swift's frames.
#ifndef IMAGE_CODECS_H
#define IMAGE_CODECS_H

#include <stddef.h>
#include <stdint.h>

#define IC_MESSAGE_SIZE 200

// Rows from the top, three bytes a pixel: red, green, blue.
typedef struct {
  uint8_t* pixels;
  int32_t width;
  int32_t height;
  // What is wrong, where a call failed; without the file's name.
  char message[IC_MESSAGE_SIZE];
} ic_image;

// Whether bytes begin as a JPEG or as a PNG file does.
int ic_is_jpeg(const uint8_t* bytes, size_t count);
int ic_is_png(const uint8_t* bytes, size_t count);

// Decodes a whole file to RGB: grey is repeated, a palette looked up, alpha dropped, 16 bits rounded to 8, CMYK taken as Adobe
// writes it. 0 for success; ic_image_free releases the pixels. An image of more than `most_pixels` is refused before memory is
// taken.
int ic_jpeg_decode(const uint8_t* bytes, size_t count, int64_t most_pixels, ic_image* out);
int ic_png_decode(const uint8_t* bytes, size_t count, int64_t most_pixels, ic_image* out);
void ic_image_free(ic_image* image);

// Encodes RGB rows as a PNG file. 0 for success; `*out` is released with free().
int ic_png_encode(const uint8_t* pixels, int32_t width, int32_t height, uint8_t** out, size_t* out_count,
                  char message[IC_MESSAGE_SIZE]);

#endif
