/* Tests a group of one process. process_group_pair.c tests a group of two. */
#include <unistd.h>

#include "check.h"

void test_process_groups(void) {
  char folder[] = "/tmp/shim-group-XXXXXX", path[64];
  CHECK(mkdtemp(folder) != NULL);
  snprintf(path, sizeof path, "%s/store", folder);
  ts_process_group group = NULL;
#ifdef TS_HAVE_GLOO
  FAILS(ts_process_group_new("smoke signals", path, 0, 1, 10000, &group), TS_ERROR_VALUE,
        "unknown process group backend 'smoke signals'");
  FAILS(ts_process_group_new("gloo", path, 1, 1, 10000, &group), TS_ERROR_VALUE, "there is no rank 1 in a group of 1");
  FAILS(ts_process_group_new("gloo", path, 0, 1, 0, &group), TS_ERROR_VALUE, "timeout must be positive");
  OK(ts_process_group_new("gloo", path, 0, 1, 10000, &group));
  ts_tensor t = vector((float[]){1, 2}, 2);
  OK(ts_process_group_all_reduce(group, t, TS_REDUCE_SUM));
  OK(ts_process_group_broadcast(group, t, 0));
  OK(ts_process_group_barrier(group));
  EXPECT_FLOATS(t, 1, 2);
  FAILS(ts_process_group_all_reduce(group, t, 99), TS_ERROR_VALUE, "no reduction number 99");
  FAILS(ts_process_group_all_reduce(NULL, t, TS_REDUCE_SUM), TS_ERROR_VALUE, "NULL");
  ts_tensor_free(t);
  ts_process_group_free(group);
  unlink(path);
  group = NULL;
  FAILS(ts_process_group_new("gloo", path, 0, 2, 300, &group), TS_ERROR_RUNTIME,
        "rank 0 did not meet the other members of a group of 2"); /* the other member never comes */
  CHECK(group == NULL && strchr(ts_error_message(), '\n') == NULL);
  unlink(path);
#else
  FAILS(ts_process_group_new("gloo", path, 0, 1, 10000, &group), TS_ERROR_NOT_IMPLEMENTED, "without gloo");
#endif
  ts_process_group_free(NULL);
  rmdir(folder);
}
