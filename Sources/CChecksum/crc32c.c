#include "CChecksum.h"
#include <stddef.h>
#include <string.h>

#if defined(__x86_64__)
#include <nmmintrin.h>
#define DROVER_TARGET __attribute__((target("sse4.2")))
static inline DROVER_TARGET uint32_t step_word(uint32_t crc, uint64_t word) { return (uint32_t)_mm_crc32_u64(crc, word); }
static inline DROVER_TARGET uint32_t step_byte(uint32_t crc, uint8_t byte) { return _mm_crc32_u8(crc, byte); }
#elif defined(__aarch64__)
#include <arm_acle.h>
#define DROVER_TARGET __attribute__((target("+crc")))
static inline DROVER_TARGET uint32_t step_word(uint32_t crc, uint64_t word) { return __crc32cd(crc, word); }
static inline DROVER_TARGET uint32_t step_byte(uint32_t crc, uint8_t byte) { return __crc32cb(crc, byte); }
#else
#define DROVER_TARGET
static inline uint32_t step_byte(uint32_t crc, uint8_t byte) {
    crc ^= byte;
    for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (0x82F63B78u & (0u - (crc & 1u)));
    return crc;
}
static inline uint32_t step_word(uint32_t crc, uint64_t word) {
    for (int byte = 0; byte < 8; byte++) crc = step_byte(crc, (uint8_t)(word >> (8 * byte)));
    return crc;
}
#endif

DROVER_TARGET uint32_t drover_crc32c_word(uint32_t crc, uint64_t word) { return step_word(crc, word); }
DROVER_TARGET uint32_t drover_crc32c_words(uint32_t crc, uint64_t first, uint64_t second, uint64_t third, uint64_t fourth) {
    return step_word(step_word(step_word(step_word(crc, first), second), third), fourth);
}
DROVER_TARGET uint32_t drover_crc32c_byte(uint32_t crc, uint8_t byte) { return step_byte(crc, byte); }

DROVER_TARGET uint32_t drover_crc32c(const void *bytes, uint64_t length) {
    const unsigned char *cursor = bytes;
    uint32_t crc = ~0u;
    while (length >= 8) {
        uint64_t word;
        memcpy(&word, cursor, 8);
        crc = step_word(crc, word);
        cursor += 8;
        length -= 8;
    }
    while (length-- > 0) crc = step_byte(crc, *cursor++);
    return ~crc;
}
