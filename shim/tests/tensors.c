#include "check.h"

static void test_data_in_and_out(void) {
  const float data[6] = {1, 2, 3, 4, 5, 6};
  const int64_t sizes[2] = {2, 3};
  ts_tensor t = NULL;
  OK(ts_tensor_from_data(data, sizeof data, sizes, 2, TS_FLOAT32, &t));
  CHECK(ts_tensor_ndim(t) == 2 && ts_tensor_count(t) == 6 && ts_tensor_dtype(t) == TS_FLOAT32);
  CHECK(ts_tensor_device(t).type == TS_CPU);
  int64_t shape[2], strides[2];
  ts_tensor_sizes(t, shape);
  ts_tensor_strides(t, strides);
  CHECK(shape[0] == 2 && shape[1] == 3 && strides[0] == 3 && strides[1] == 1);
  void *address = NULL;
  OK(ts_tensor_data(t, &address));
  CHECK(((float *)address)[5] == 6);

  /* A transposed view shares the storage without a copy. The copy to host memory has row-major order. */
  ts_value view = CALL("aten::t", "", tensor(t));
  CHECK(ts_tensor_storage_id(view.as.tensor) == ts_tensor_storage_id(t) && !ts_tensor_is_same(view.as.tensor, t));
  CHECK(ts_tensor_is_contiguous(t, TS_CONTIGUOUS) && !ts_tensor_is_contiguous(view.as.tensor, TS_CONTIGUOUS));
  EXPECT_FLOATS(view.as.tensor, 1, 4, 2, 5, 3, 6);
  FAILS(ts_tensor_data(view.as.tensor, &address), TS_ERROR_VALUE, "not contiguous");

  float buffer[6];
  FAILS(ts_tensor_copy_to_host(t, buffer, 20), TS_ERROR_VALUE, "the tensor's data has 24 bytes, but the buffer has 20");
  ts_value_free(&view);
  ts_tensor_free(t);
}

static void test_refused_data(void) {
  const float data[2] = {1, 2};
  ts_tensor t = NULL;
  FAILS(ts_tensor_from_data(data, 8, (int64_t[]){3}, 1, TS_FLOAT32, &t), TS_ERROR_VALUE, "needs 12 bytes, got 8");
  FAILS(ts_tensor_from_data(data, 8, (int64_t[]){-2}, 1, TS_FLOAT32, &t), TS_ERROR_VALUE, "negative");
  const int64_t huge[3] = {INT64_MAX, INT64_MAX, 16};
  FAILS(ts_tensor_from_data(data, 8, huge, 3, TS_FLOAT32, &t), TS_ERROR_VALUE, "too large");
  FAILS(ts_tensor_from_data(data, 8, (int64_t[]){2}, 1, 1000, &t), TS_ERROR_VALUE, "no dtype number 1000");
  FAILS(ts_tensor_from_data(NULL, 8, (int64_t[]){2}, 1, TS_FLOAT32, &t), TS_ERROR_VALUE, "data is NULL");
  CHECK(t == NULL);
}

static void test_shapes_without_elements_or_dimensions(void) {
  ts_tensor empty = NULL, scalar = NULL;
  OK(ts_tensor_from_data(NULL, 0, (int64_t[]){0, 3}, 2, TS_FLOAT32, &empty));
  CHECK(ts_tensor_count(empty) == 0 && ts_tensor_ndim(empty) == 2);
  OK(ts_tensor_copy_to_host(empty, NULL, 0));
  const int64_t seven = 7;
  OK(ts_tensor_from_data(&seven, 8, NULL, 0, TS_INT64, &scalar));
  CHECK(ts_tensor_ndim(scalar) == 0 && ts_tensor_count(scalar) == 1);
  int64_t out = 0;
  OK(ts_tensor_copy_to_host(scalar, &out, 8));
  CHECK(out == 7);
  ts_tensor_free(empty);
  ts_tensor_free(scalar);
}

static void test_handles(void) {
  ts_tensor t = vector((float[]){1, 2}, 2), second = NULL;
  const int64_t before = ts_live_handles();
  OK(ts_tensor_retain(t, &second));
  CHECK(ts_tensor_is_same(t, second) && ts_live_handles() == before + 1);
  ts_tensor_free(t);
  EXPECT_FLOATS(second, 1, 2);
  ts_tensor_free(second);
  CHECK(ts_live_handles() == before - 1);
  ts_tensor_free(NULL);
  FAILS(ts_tensor_retain(NULL, &second), TS_ERROR_VALUE, "NULL");
}

void test_tensors(void) {
  test_data_in_and_out();
  test_refused_data();
  test_shapes_without_elements_or_dimensions();
  test_handles();
}
