/* Plain C reference for scripts/benchmark.py: UCB1 on Bernoulli arms, xoshiro256++, 200 checkpoints.
 *
 * textbook: sums / n + sqrt(2 ln t / n), as in the paper, with divisions in the index.
 * same:     the arithmetic of banditlab/agents/moments.py (1 / n is state, no division in the index).
 *
 * thompson: Beta-Bernoulli, with the sampler of banditlab/random.py (Marsaglia & Tsang's gammas from
 *           a ziggurat of 256 layers).
 *
 * Usage: reference K T R; prints three lines "name seconds mean_regret".
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define MAX_ARMS 64
#define CHECKPOINTS 200

static inline uint64_t rotl(uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }

static inline uint64_t word(uint64_t *s) { /* xoshiro256++ */
    uint64_t w = rotl(s[0] + s[3], 23) + s[0], t = s[1] << 17;
    s[2] ^= s[0]; s[3] ^= s[1]; s[1] ^= s[2]; s[0] ^= s[3]; s[2] ^= t; s[3] = rotl(s[3], 45);
    return w;
}

static inline double uniform(uint64_t *s) { return (word(s) >> 11) * 0x1.0p-53; }

static void seed(uint64_t *s, uint64_t start) { /* splitmix64 */
    for (int i = 0; i < 4; i++) {
        uint64_t z = (start += 0x9e3779b97f4a7c15u);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        s[i] = z ^ (z >> 31);
    }
}

static double textbook(int K, int T, const double *mean, uint64_t *s, const int *when, double *kept) {
    double sums[MAX_ARMS] = {0}, regret = 0;
    long n[MAX_ARMS] = {0};
    for (int t = 0, c = 0; t < T; t++) {
        int arm = 0;
        if (t < K) arm = t;
        else {
            double bonus = 2 * log(t), best = -INFINITY;
            for (int k = 0; k < K; k++) {
                double value = sums[k] / n[k] + sqrt(bonus / n[k]);
                if (value > best) { best = value; arm = k; }
            }
        }
        sums[arm] += uniform(s) < mean[arm];
        n[arm]++;
        regret += mean[K - 1] - mean[arm];
        if (c < CHECKPOINTS && t + 1 == when[c]) kept[c++] = regret;
    }
    return regret;
}

static double same(int K, int T, const double *mean, uint64_t *s, const int *when, double *kept) {
    double sums[MAX_ARMS] = {0}, n[MAX_ARMS] = {0}, inv[MAX_ARMS], regret = 0;
    for (int k = 0; k < K; k++) inv[k] = 1;
    for (int t = 0, c = 0; t < T; t++) {
        int arm = 0;
        double bonus = 2 * log(t + 1.0), value[MAX_ARMS], best;
        for (int k = 0; k < K; k++) {
            double index = sums[k] * inv[k] + sqrt(bonus * inv[k]);
            value[k] = n[k] > 0 ? index : INFINITY;
        }
        best = value[0];
        for (int k = 1; k < K; k++) {
            int larger = value[k] > best;
            best = larger ? value[k] : best;
            arm = larger ? k : arm;
        }
        n[arm] += 1;
        inv[arm] = 1 / n[arm];
        sums[arm] += uniform(s) < mean[arm];
        regret += mean[K - 1] - mean[arm];
        if (c < CHECKPOINTS && t + 1 == when[c]) kept[c++] = regret;
    }
    return regret;
}

static double edges[257], heights[257];

static void fill_ziggurat(void) {
    const double r = 3.6541528853610088, area = 0.004928673233974658;
    edges[0] = area / exp(-0.5 * r * r);
    edges[1] = r;
    for (int i = 2; i < 256; i++)
        edges[i] = sqrt(-2 * log(area / edges[i - 1] + exp(-0.5 * edges[i - 1] * edges[i - 1])));
    edges[256] = 0;
    for (int i = 0; i < 257; i++) heights[i] = exp(-0.5 * edges[i] * edges[i]);
}

static inline double open_uniform(uint64_t *s) { return ((word(s) >> 12) + 0.5) * 0x1.0p-52; }

static double normal(uint64_t *s) {
    for (;;) {
        uint64_t w = word(s);
        int layer = w & 255;
        double u = ((w >> 12) + 0.5) * 0x1.0p-51 - 1, z = u * edges[layer];
        if (fabs(z) < edges[layer + 1]) return z;
        if (layer == 0)
            for (;;) {
                double x = -log(open_uniform(s)) / edges[1], y = -log(open_uniform(s));
                if (y + y > x * x) return u > 0 ? edges[1] + x : -edges[1] - x;
            }
        double low = heights[layer], high = heights[layer + 1];
        if (low + uniform(s) * (high - low) < exp(-0.5 * z * z)) return z;
    }
}

static double gamma_from_one(uint64_t *s, double shape) {
    double d = shape - 1.0 / 3, c = 1 / sqrt(9 * d);
    for (;;) {
        double z = normal(s), v = 1 + c * z, z2 = z * z;
        if (v <= 0) continue;
        v = v * v * v;
        double u = open_uniform(s);
        if (u < 1 - 0.0331 * z2 * z2 || log(u) < 0.5 * z2 + d * (1 - v + log(v))) return d * v;
    }
}

static double thompson(int K, int T, const double *mean, uint64_t *s, const int *when, double *kept) {
    double wins[MAX_ARMS] = {0}, n[MAX_ARMS] = {0}, regret = 0;
    for (int t = 0, c = 0; t < T; t++) {
        int arm = 0;
        double best = -1;
        for (int k = 0; k < K; k++) {
            double x = gamma_from_one(s, 1 + wins[k]);
            double value = x / (x + gamma_from_one(s, 1 + n[k] - wins[k]));
            if (value > best) { best = value; arm = k; }
        }
        wins[arm] += uniform(s) < mean[arm];
        n[arm] += 1;
        regret += mean[K - 1] - mean[arm];
        if (c < CHECKPOINTS && t + 1 == when[c]) kept[c++] = regret;
    }
    return regret;
}

int main(int argc, char **argv) {
    typedef double player(int, int, const double *, uint64_t *, const int *, double *);
    static player *const players[] = {textbook, same, thompson};
    static const char *const names[] = {"textbook", "same", "thompson"};
    if (argc != 4) return 2;
    int K = atoi(argv[1]), T = atoi(argv[2]), R = atoi(argv[3]), when[CHECKPOINTS];
    double mean[MAX_ARMS], kept[CHECKPOINTS];
    if (K < 2 || K > MAX_ARMS || T < CHECKPOINTS || R < 1) return 2;
    fill_ziggurat();
    for (int k = 0; k < K; k++) mean[k] = 0.1 + 0.8 * k / (K - 1);
    for (int i = 0; i < CHECKPOINTS; i++) when[i] = (int)((long)(i + 1) * T / CHECKPOINTS);
    for (int which = 0; which < 3; which++) {
        double total = 0;
        clock_t began = clock();
        for (int r = 0; r < R; r++) {
            uint64_t s[4];
            seed(s, (uint64_t)r);
            total += players[which](K, T, mean, s, when, kept);
        }
        printf("%s %.6f %.4f\n", names[which], (double)(clock() - began) / CLOCKS_PER_SEC, total / R);
    }
    return 0;
}
