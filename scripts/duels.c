/* Plain C reference for scripts/duels.py: RUCB as the paper writes it, on duels by a matrix.
 *
 * Every round computes the whole matrix U, with its divisions and square roots; ties go to the arm
 * of the smaller number. xoshiro256++, seeded by the number of the replication.
 *
 * Usage: duels K T R, with the K * K entries of P on standard input; prints "seconds mean_regret".
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MOST 64

static inline uint64_t rotl(uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }

static inline double uniform(uint64_t *s) {
    uint64_t w = rotl(s[0] + s[3], 23) + s[0], t = s[1] << 17;
    s[2] ^= s[0]; s[3] ^= s[1]; s[1] ^= s[2]; s[0] ^= s[3]; s[2] ^= t; s[3] = rotl(s[3], 45);
    return (w >> 11) * 0x1.0p-53;
}

static void seed(uint64_t *s, uint64_t start) { /* splitmix64 */
    for (int i = 0; i < 4; i++) {
        uint64_t z = (start += 0x9e3779b97f4a7c15u);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        s[i] = z ^ (z >> 31);
    }
}

static double rucb(int K, int T, const double *P, uint64_t *s) {
    static double wins[MOST][MOST], U[MOST][MOST];
    double regret = 0;
    int champion = -1;
    memset(wins, 0, sizeof wins);
    for (int t = 1; t <= T; t++) {
        int inside[MOST], n = 0, left, right = -1;
        for (int i = 0; i < K; i++)
            for (int j = 0; j < K; j++) {
                double met = wins[i][j] + wins[j][i];
                U[i][j] = met > 0 ? wins[i][j] / met + sqrt(0.51 * log(t) / met) : 1;
                if (i == j) U[i][j] = 0.5;
            }
        for (int i = 0; i < K; i++) {
            int all = 1;
            for (int j = 0; j < K; j++) all &= U[i][j] >= 0.5;
            if (all) inside[n++] = i;
            else if (i == champion) champion = -1;
        }
        if (n == 0) left = (int)(uniform(s) * K);
        else if (n == 1) left = champion = inside[0];
        else if (champion >= 0 && uniform(s) < 0.5) left = champion;
        else {
            if (champion >= 0)
                for (int i = 0; i < n; i++)
                    if (inside[i] == champion) { inside[i] = inside[--n]; break; }
            left = inside[(int)(uniform(s) * n)];
        }
        for (int j = 0; j < K; j++)
            if (j != left && (right < 0 || U[j][left] > U[right][left])) right = j;
        if (right < 0 || U[right][left] < 0.5) right = left;
        int won = uniform(s) < P[left * K + right];
        if (left != right) {
            wins[left][right] += won;
            wins[right][left] += !won;
        }
        regret += 0.5 * (P[left] + P[right] - 1); /* arm 0 beats all others */
    }
    return regret;
}

int main(int argc, char **argv) {
    static double P[MOST * MOST];
    if (argc != 4) return 2;
    int K = atoi(argv[1]), T = atoi(argv[2]), R = atoi(argv[3]);
    if (K < 2 || K > MOST || T < 1 || R < 1) return 2;
    for (int i = 0; i < K * K; i++)
        if (scanf("%lf", &P[i]) != 1) return 2;
    double total = 0;
    clock_t began = clock();
    for (int r = 0; r < R; r++) {
        uint64_t s[4];
        seed(s, (uint64_t)r);
        total += rucb(K, T, P, s);
    }
    printf("%.6f %.4f\n", (double)(clock() - began) / CLOCKS_PER_SEC, total / R);
    return 0;
}
