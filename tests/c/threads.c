/* Eight threads on one model, each with a workspace of its own, must give what one gives, to the last bit.
 * Usage: threads MODEL; prints the energies. */
#include <atomcore/atomcore.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#ifndef EVALUATIONS
#define EVALUATIONS 200
#endif
enum { THREADS = 8, MOST = 5 };

static const atomcore_model* model;
static const int32_t numbers[MOST] = {6, 1, 1, 8, 1};

struct answer {
  atomcore_status status;
  double energies[EVALUATIONS], forces[EVALUATIONS][MOST][3];
};

static void place(int which, double positions[MOST][3]) {
  for (int i = 0; i < MOST; ++i)
    for (int x = 0; x < 3; ++x) positions[i][x] = 0.9 * ((i >> x) & 1) + 0.01 * (double)((which * 7 + i * 3 + x) % 11);
}

static void* compute(void* pointer) {
  struct answer* answer = pointer;
  atomcore_workspace* workspace = NULL;
  answer->status = atomcore_workspace_create(model, 1, &workspace);
  for (int k = 0; k < EVALUATIONS && answer->status == ATOMCORE_OK; ++k) {
    double positions[MOST][3];
    atomcore_structure structure = ATOMCORE_STRUCTURE_INIT;
    atomcore_results results = ATOMCORE_RESULTS_INIT;
    place(k, positions);
    structure.n_atoms = 2 + k % (MOST - 1);
    structure.positions = &positions[0][0];
    structure.numbers = numbers;
    memset(answer->forces[k], 0, sizeof answer->forces[k]);
    results.forces = &answer->forces[k][0][0];
    answer->status = atomcore_compute(workspace, &structure, &results);
    answer->energies[k] = results.energy;
  }
  atomcore_workspace_free(workspace);
  return NULL;
}

static struct answer answers[1 + THREADS];

int main(int argc, char** argv) {
  atomcore_model* loaded = NULL;
  pthread_t threads[THREADS];
  if (argc != 2 || atomcore_model_load(argv[1], NULL, &loaded) != ATOMCORE_OK)
    return fprintf(stderr, "%s\n", atomcore_last_error()), 2;
  model = loaded;
  compute(&answers[0]);
  for (int t = 0; t < THREADS; ++t)
    if (pthread_create(&threads[t], NULL, compute, &answers[1 + t]) != 0) return 3;
  for (int t = 0; t < THREADS; ++t) pthread_join(threads[t], NULL);
  for (int t = 0; t <= THREADS; ++t)
    if (memcmp(&answers[0], &answers[t], sizeof answers[0]) != 0 || answers[t].status != ATOMCORE_OK)
      return fprintf(stderr, "thread %d differs\n", t), 1;
  for (int k = 0; k < EVALUATIONS; ++k) printf("%.17g\n", answers[0].energies[k]);
  atomcore_model_free(loaded);
  return 0;
}
