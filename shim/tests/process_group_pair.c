/* Tests a group of two processes: they meet through a file, reduce, broadcast, and wait for each other. */
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static int member(const char *path, int rank) {
  ts_process_group group = NULL;
  OK(ts_process_group_new("gloo", path, rank, 2, 60000, &group));
  const float mine[2] = {(float)(rank + 1), (float)(10 * (rank + 1))};
  ts_tensor t = vector(mine, 2);
  OK(ts_process_group_all_reduce(group, t, TS_REDUCE_SUM));
  EXPECT_FLOATS(t, 3, 30);
  OK(ts_process_group_all_reduce(group, t, TS_REDUCE_MAX));
  EXPECT_FLOATS(t, 3, 30);
  ts_tensor_free(t);
  t = vector(mine, 2);
  OK(ts_process_group_broadcast(group, t, 1));
  EXPECT_FLOATS(t, 2, 20);
  OK(ts_process_group_barrier(group));
  ts_tensor_free(t);
  ts_process_group_free(group);
  CHECK(ts_live_handles() == 0);
  return 0;
}

int main(void) {
  char folder[] = "/tmp/shim-pair-XXXXXX", path[64];
  CHECK(mkdtemp(folder) != NULL);
  snprintf(path, sizeof path, "%s/store", folder);
  pid_t members[2];
  for (int rank = 0; rank < 2; rank++) {
    members[rank] = fork();
    CHECK(members[rank] >= 0);
    if (members[rank] == 0) _exit(member(path, rank));
  }
  int failures = 0;
  for (int rank = 0; rank < 2; rank++) {
    int status = 0;
    CHECK(waitpid(members[rank], &status, 0) == members[rank]);
    failures += !(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }
  unlink(path);
  rmdir(folder);
  CHECK(failures == 0);
  puts("ok  process group of two");
  return 0;
}
