#include "check.h"

static ts_tensor image(void) {
  float data[16];
  for (int i = 0; i < 16; i++) data[i] = (float)i;
  ts_tensor t = NULL;
  OK(ts_tensor_from_data(data, sizeof data, (int64_t[]){1, 1, 4, 4}, 4, TS_FLOAT32, &t));
  return t;
}

static void test_lookup(void) {
  ts_operator first = operator_named("aten::add", "Tensor"), unknown = NULL;
  CHECK(first == operator_named("aten::add", "Tensor"));
  CHECK(strstr(ts_operator_schema(first), "aten::add.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor") != NULL);
  FAILS(ts_operator_find("aten::no_such_operator", "", &unknown), TS_ERROR_NOT_IMPLEMENTED, "no operator aten::no_such_operator");
  FAILS(ts_operator_find("aten::relu", "Nope", &unknown), TS_ERROR_NOT_IMPLEMENTED, "overloads of aten::relu: ");
  FAILS(ts_operator_find(NULL, "", &unknown), TS_ERROR_VALUE, "name is NULL");
  CHECK(unknown == NULL);
}

static void test_numbers(void) {
  ts_tensor a = vector((float[]){1, 2}, 2), b = vector((float[]){10, 20}, 2);
  EXPECT_RESULT(CALL("aten::add", "Tensor", tensor(a), tensor(b)), 11, 22);
  EXPECT_RESULT(CALL("aten::add", "Tensor", tensor(a), tensor(b), integer(2)), 21, 42);
  EXPECT_RESULT(CALL("aten::add", "Tensor", tensor(a), tensor(b), real(0.5)), 6, 12);
  EXPECT_RESULT(CALL("aten::mul", "Scalar", tensor(a), integer(3)), 3, 6);
  EXPECT_RESULT(CALL("aten::pow", "Tensor_Scalar", tensor(a), real(2)), 1, 4);
  EXPECT_RESULT(CALL("aten::full", "", integers((int64_t[]){2}, 1), boolean(true), dtype(TS_FLOAT32)), 1, 1);
  /* An int for a float. */
  EXPECT_RESULT(CALL("aten::leaky_relu", "", tensor(a), integer(0)), 1, 2);
  EXPECT_RESULT(CALL("aten::nan_to_num", "", tensor(a), integer(0)), 1, 2);
  EXPECT_RESULT(CALL("aten::clamp", "", tensor(a), none(), real(1.5)), 1, 1.5f);
  ts_tensor_free(a);
  ts_tensor_free(b);
}

static void test_lists(void) {
  ts_tensor x = image();
  const int64_t two[2] = {2, 2}, one[1] = {2};
  /* int[2]: a list of two, a list of one, one number. */
  EXPECT_RESULT(CALL("aten::avg_pool2d", "", tensor(x), integers(two, 2)), 2.5f, 4.5f, 10.5f, 12.5f);
  EXPECT_RESULT(CALL("aten::avg_pool2d", "", tensor(x), integers(one, 1)), 2.5f, 4.5f, 10.5f, 12.5f);
  EXPECT_RESULT(CALL("aten::avg_pool2d", "", tensor(x), integer(2)), 2.5f, 4.5f, 10.5f, 12.5f);
  /* An empty list of another kind. */
  const ts_value empty = {.kind = TS_DOUBLE_LIST};
  EXPECT_RESULT(CALL("aten::avg_pool2d", "", tensor(x), integer(2), empty), 2.5f, 4.5f, 10.5f, 12.5f);
  /* SymInt[], and an optional list, given and none. */
  ts_value flat = CALL("aten::reshape", "", tensor(x), integers((int64_t[]){16}, 1));
  CHECK(ts_tensor_ndim(flat.as.tensor) == 1);
  EXPECT_RESULT(CALL("aten::mean", "dim", tensor(x), none(), boolean(false), none()), 7.5f);
  ts_value rows = CALL("aten::sum", "dim_IntList", tensor(x), integers((int64_t[]){-1}, 1));
  EXPECT_FLOATS(rows.as.tensor, 6, 22, 38, 54);
  /* Tensor[] and Tensor?[] with an empty slot. */
  ts_tensor parts[2] = {rows.as.tensor, rows.as.tensor};
  const ts_value list = {.kind = TS_TENSOR_LIST, .count = 2, .as.tensors = parts};
  EXPECT_RESULT(CALL("aten::cat", "", list, integer(2)), 6, 22, 38, 54, 6, 22, 38, 54);
  ts_tensor index = NULL;
  OK(ts_tensor_from_data((int64_t[]){1, 3}, 16, (int64_t[]){2}, 1, TS_INT64, &index));
  ts_tensor slots[4] = {NULL, NULL, NULL, index};
  const ts_value indices = {.kind = TS_OPTIONAL_TENSOR_LIST, .count = 4, .as.tensors = slots};
  EXPECT_RESULT(CALL("aten::index", "Tensor", tensor(x), indices), 1, 3, 5, 7, 9, 11, 13, 15);
  const ts_value broken = {.kind = TS_TENSOR_LIST, .count = 2, .as.tensors = slots};
  CALL_FAILS("aten::cat", "", TS_ERROR_VALUE, "slot of the tensor list is NULL", broken);
  const double factors[2] = {2, 2};
  const ts_value scales = {.kind = TS_DOUBLE_LIST, .count = 2, .as.reals = factors};
  ts_value larger = CALL("aten::upsample_nearest2d", "vec", tensor(x), none(), scales);
  CHECK(ts_tensor_count(larger.as.tensor) == 64);
  ts_value_free(&larger);
  ts_value_free(&flat);
  ts_value_free(&rows);
  ts_tensor_free(index);
  ts_tensor_free(x);
}

static void test_other_kinds(void) {
  const ts_value cpu = {.kind = TS_DEVICE, .as.device = {TS_CPU, -1}};
  const ts_value strided = {.kind = TS_LAYOUT, .as.integer = 0};
  ts_value zeros = CALL("aten::zeros", "", integers((int64_t[]){3}, 1), dtype(TS_FLOAT64), strided, cpu, boolean(false));
  CHECK(ts_tensor_dtype(zeros.as.tensor) == TS_FLOAT64 && ts_tensor_count(zeros.as.tensor) == 3);
  ts_tensor x = image();
  const ts_value channels_last = {.kind = TS_MEMORY_FORMAT, .as.integer = TS_CHANNELS_LAST};
  ts_value wide = CALL("aten::expand", "", tensor(x), integers((int64_t[]){2, 3, 4, 4}, 4));
  ts_value last = CALL("aten::contiguous", "", wide, channels_last);
  CHECK(ts_tensor_is_contiguous(last.as.tensor, TS_CHANNELS_LAST) && !ts_tensor_is_contiguous(last.as.tensor, TS_CONTIGUOUS));
  const ts_value mode = {.kind = TS_STRING, .count = 5, .as.string = "floor, and the rest is not part of it"};
  ts_tensor a = vector((float[]){7, -7}, 2), b = vector((float[]){2, 2}, 2);
  EXPECT_RESULT(CALL("aten::div", "Tensor_mode", tensor(a), tensor(b), mode), 3, -4);
  /* Tensor? given and none. */
  ts_tensor weight = vector((float[]){1, 0, 0, 1}, 4);
  ts_value square = CALL("aten::reshape", "", tensor(weight), integers((int64_t[]){2, 2}, 2));
  EXPECT_RESULT(CALL("aten::linear", "", tensor(a), square), 7, -7);
  EXPECT_RESULT(CALL("aten::linear", "", tensor(a), square, none()), 7, -7);
  EXPECT_RESULT(CALL("aten::linear", "", tensor(a), square, tensor(b)), 9, -5);
  const ts_value nowhere = {.kind = TS_DEVICE, .as.device = {TS_CPU, 7}};
  CALL_FAILS("aten::zeros", "", TS_ERROR_VALUE, "there is no device cpu:7", integers((int64_t[]){3}, 1), none(), none(), nowhere);
  ts_value_free(&zeros);
  ts_value_free(&wide);
  ts_value_free(&last);
  ts_value_free(&square);
  ts_tensor_free(weight);
  ts_tensor_free(a);
  ts_tensor_free(b);
  ts_tensor_free(x);
}

static void test_refusals(void) {
  ts_tensor a = vector((float[]){1, 2}, 2), b = vector((float[]){1, 2, 3}, 3);
  CALL_FAILS("aten::add", "Tensor", TS_ERROR_TYPE,
             "aten::add.Tensor: argument 2 'other' must be Tensor, got int; schema: aten::add.Tensor(", tensor(a), integer(1));
  CALL_FAILS("aten::add", "Tensor", TS_ERROR_TYPE, "argument 2 'other' is missing; schema: ", tensor(a));
  CALL_FAILS("aten::add", "Tensor", TS_ERROR_TYPE, "expected at most 3 arguments, got 4", tensor(a), tensor(a), integer(1),
             integer(1));
  CALL_FAILS("aten::add", "Tensor", TS_ERROR_TYPE, "argument 1 'self' must be Tensor, got NULL", tensor(NULL), tensor(a));
  CALL_FAILS("aten::add", "Tensor", TS_ERROR_TYPE, "argument 1 'self' must be Tensor, got none", none(), tensor(a));
  CALL_FAILS("aten::softmax", "int", TS_ERROR_TYPE, "argument 2 'dim' must be int, got float", tensor(a), real(0));
  CALL_FAILS("aten::sum", "dim_IntList", TS_ERROR_TYPE, "must be int[]?, got float[]", tensor(a),
             {.kind = TS_DOUBLE_LIST, .count = 1, .as.reals = (double[]){0}});
  CALL_FAILS("aten::sum", "", TS_ERROR_TYPE, "must be ScalarType?, got int", tensor(a), integer(6));
  CALL_FAILS("aten::add", "Tensor", TS_ERROR_RUNTIME, "The size of tensor a (2) must match the size of tensor b (3)", tensor(a),
             tensor(b));
  CHECK(strstr(ts_error_message(), "Exception raised from") == NULL);
  CALL_FAILS("aten::select", "int", TS_ERROR_INDEX, "out of range", tensor(a), integer(0), integer(9));
  CALL_FAILS("aten::zeros", "", TS_ERROR_OUT_OF_MEMORY, "allocate", integers((int64_t[]){1LL << 46}, 1));
  ts_value none_left;
  size_t produced;
  const ts_value max_arguments[2] = {tensor(a), integer(0)};
  FAILS(ts_operator_call(operator_named("aten::max", "dim"), max_arguments, 2, &none_left, 1, &produced), TS_ERROR_VALUE,
        "returns 2 results, but the capacity is 1");
  FAILS(ts_operator_call(NULL, NULL, 0, NULL, 0, &produced), TS_ERROR_VALUE, "NULL");
  /* A failed call must not affect a later call. */
  EXPECT_RESULT(CALL("aten::add", "Tensor", tensor(a), tensor(a)), 2, 4);
  ts_tensor_free(a);
  ts_tensor_free(b);
}

void test_operator_arguments(void) {
  test_lookup();
  test_numbers();
  test_lists();
  test_other_kinds();
  test_refusals();
}
