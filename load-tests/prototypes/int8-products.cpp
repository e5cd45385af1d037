// What int8 products in blocks of 32 can cost on a CPU with AVX2 alone: the matrices of Qwen2's shape with 0.5 B
// parameters, weights of 8 bits with a scale a block, activations rounded to 8 bits in the same blocks. For measuring:
// compare with the products of the engine (npm run bench -- ceiling). int8-products.sh compiles and runs it.
//
// Layout: tiles of 8 columns. Of each block of 32 inputs, 8 vectors of 8 columns × 4 inputs, then 8 scales (float16).
// One vector of weights serves up to 4 rows. AVX2 multiplies unsigned with signed bytes only, so the weight's sign is
// moved to the activation. Each row is computed in one order, whatever rows are beside it.
#include <immintrin.h>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <thread>
#include <vector>

constexpr int BLOCK = 32, COLUMNS = 8, VECTORS = BLOCK / 4, TILE_BYTES = BLOCK * COLUMNS + 2 * COLUMNS;

struct Matrix {
  int inputs, outputs;
  std::vector<uint8_t> tiles;
  Matrix(int inputs, int outputs) : inputs(inputs), outputs(outputs) {
    tiles.resize(size_t(outputs / COLUMNS) * (inputs / BLOCK) * TILE_BYTES);
  }
  uint8_t* block(int tile, int b) { return &tiles[(size_t(tile) * (inputs / BLOCK) + b) * TILE_BYTES]; }
};

struct Rows {
  int count;
  std::vector<int8_t> values;
  std::vector<float> scales;
};

void quantise(const float* x, int inputs, int8_t* q, float* scales) {
  for (int b = 0; b < inputs / BLOCK; b++) {
    float most = 0;
    for (int i = 0; i < BLOCK; i++) most = std::max(most, std::fabs(x[b * BLOCK + i]));
    scales[b] = most / 127;
    float inverse = most == 0 ? 0 : 127 / most;
    for (int i = 0; i < BLOCK; i++) q[b * BLOCK + i] = int8_t(std::lrintf(x[b * BLOCK + i] * inverse));
  }
}

// R rows × 8 columns.
template <int R>
void tileRows(const uint8_t* tile, int numBlocks, const int8_t* q, const float* scales, int inputs, float* out,
              int stride) {
  const __m256i ones = _mm256_set1_epi16(1);
  __m256 sums[R];
  for (int r = 0; r < R; r++) sums[r] = _mm256_setzero_ps();
  for (int b = 0; b < numBlocks; b++, tile += TILE_BYTES) {
    __m256i dots[R];
    for (int r = 0; r < R; r++) dots[r] = _mm256_setzero_si256();
    for (int v = 0; v < VECTORS; v++) {
      const __m256i w = _mm256_loadu_si256((const __m256i*)(tile + v * 32));
      const __m256i magnitude = _mm256_abs_epi8(w);
      for (int r = 0; r < R; r++) {
        int32_t four;
        std::memcpy(&four, q + size_t(r) * inputs + b * BLOCK + v * 4, 4);
        const __m256i a = _mm256_sign_epi8(_mm256_set1_epi32(four), w);
        dots[r] = _mm256_add_epi32(dots[r], _mm256_madd_epi16(_mm256_maddubs_epi16(magnitude, a), ones));
      }
    }
    const __m256 s = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)(tile + BLOCK * COLUMNS)));
    for (int r = 0; r < R; r++) {
      const __m256 scale = _mm256_mul_ps(s, _mm256_set1_ps(scales[size_t(r) * numBlocks + b]));
      sums[r] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dots[r]), scale, sums[r]);
    }
  }
  for (int r = 0; r < R; r++) _mm256_storeu_ps(out + size_t(r) * stride, sums[r]);
}

void columns(Matrix& m, const Rows& rows, float* out, int from, int to) {
  const int numBlocks = m.inputs / BLOCK;
  for (int t = from; t < to; t++) {
    const uint8_t* tile = m.block(t, 0);
    for (int r = 0; r < rows.count;) {
      const int8_t* q = &rows.values[size_t(r) * m.inputs];
      const float* s = &rows.scales[size_t(r) * numBlocks];
      float* o = out + size_t(r) * m.outputs + t * COLUMNS;
      const int left = rows.count - r;
      if (left >= 4) { tileRows<4>(tile, numBlocks, q, s, m.inputs, o, m.outputs); r += 4; }
      else if (left >= 2) { tileRows<2>(tile, numBlocks, q, s, m.inputs, o, m.outputs); r += 2; }
      else { tileRows<1>(tile, numBlocks, q, s, m.inputs, o, m.outputs); r += 1; }
    }
  }
}

struct Barrier {
  int n;
  std::atomic<int> waiting{0}, round{0};
  explicit Barrier(int n) : n(n) {}
  void wait() {
    const int now = round.load();
    if (waiting.fetch_add(1) + 1 == n) { waiting = 0; round.fetch_add(1); }
    else while (round.load() == now) _mm_pause();
  }
};

void fill(Matrix& m, std::mt19937& random) {
  for (int t = 0; t < m.outputs / COLUMNS; t++)
    for (int b = 0; b < m.inputs / BLOCK; b++) {
      uint8_t* block = m.block(t, b);
      for (int i = 0; i < BLOCK * COLUMNS; i++) block[i] = uint8_t(int8_t(int(random() % 255) - 127));
      float scales[COLUMNS];
      for (float& s : scales) s = 1e-3f + float(random() % 1000) * 1e-6f;
      _mm_storeu_si128((__m128i*)(block + BLOCK * COLUMNS), _mm256_cvtps_ph(_mm256_loadu_ps(scales), 0));
    }
}

// The same sum in double precision, one number at a time.
double reference(Matrix& m, const Rows& rows, int row, int column) {
  double sum = 0;
  for (int b = 0; b < m.inputs / BLOCK; b++) {
    const uint8_t* block = m.block(column / COLUMNS, b);
    float scales[COLUMNS];
    _mm256_storeu_ps(scales, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)(block + BLOCK * COLUMNS))));
    int dot = 0;
    for (int i = 0; i < BLOCK; i++)
      dot += int8_t(block[(i / 4) * 32 + (column % COLUMNS) * 4 + i % 4]) *
             rows.values[size_t(row) * m.inputs + b * BLOCK + i];
    sum += double(dot) * scales[column % COLUMNS] * rows.scales[size_t(row) * (m.inputs / BLOCK) + b];
  }
  return sum;
}

int main(int argc, char** argv) {
  const int numThreads = argc > 1 ? std::atoi(argv[1]) : 2, numSteps = argc > 2 ? std::atoi(argv[2]) : 8;
  std::mt19937 random(1);
  std::vector<Matrix> matrices;
  for (int layer = 0; layer < 24; layer++)
    for (auto [inputs, outputs] : {std::pair{896, 1152}, {896, 896}, {896, 9728}, {4864, 896}})
      matrices.emplace_back(inputs, outputs);
  matrices.emplace_back(896, 151936);
  for (Matrix& m : matrices) fill(m, random);
  std::vector<float> x(64 * 4864), out(64ull * 151936);
  for (float& value : x) value = float(int(random() % 2001) - 1000) / 1000;
  for (int numRows : {1, 2, 3, 4, 16, 64}) {
    double best = 1e9, error = 0;
    for (int step = 0; step < numSteps; step++) {
      const auto start = std::chrono::steady_clock::now();
      Barrier barrier(numThreads);
      Rows rows{numRows, std::vector<int8_t>(size_t(numRows) * 4864), std::vector<float>(size_t(numRows) * 152)};
      auto work = [&](int thread) {
        for (Matrix& m : matrices) {
          for (int r = thread; r < numRows; r += numThreads)
            quantise(&x[size_t(r) * m.inputs], m.inputs, &rows.values[size_t(r) * m.inputs],
                     &rows.scales[size_t(r) * (m.inputs / BLOCK)]);
          barrier.wait();
          const int tiles = m.outputs / COLUMNS;
          columns(m, rows, out.data(), tiles * thread / numThreads, tiles * (thread + 1) / numThreads);
          barrier.wait();
        }
      };
      std::vector<std::thread> threads;
      for (int t = 1; t < numThreads; t++) threads.emplace_back(work, t);
      work(0);
      for (std::thread& t : threads) t.join();
      const std::chrono::duration<double, std::milli> taken = std::chrono::steady_clock::now() - start;
      best = std::min(best, taken.count());
      if (step == 0)
        for (int i = 0; i < 200; i++) {
          const int row = int(random() % numRows), column = int(random() % 151936);
          error = std::max(
              error, std::fabs(reference(matrices.back(), rows, row, column) - out[size_t(row) * 151936 + column]));
        }
    }
    std::printf("%2d rows: %6.1f ms a step, %5.1f tokens/s (largest difference from the reference %.1e)\n",
                numRows, best, numRows * 1000 / best, error);
  }
}
