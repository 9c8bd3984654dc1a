// CRC32C (Castagnoli, RFC 3720 appendix B.4), a word or a byte at a time, by value: no pointer crosses into Swift.
#pragma once
#include <stdint.h>

/// Feeds eight bytes, the first in the lowest byte of `word`. Start with ~0, finish by inverting.
uint32_t drover_crc32c_word(uint32_t crc, uint64_t word);
/// Feeds 32 bytes as `drover_crc32c_word` feeds eight.
uint32_t drover_crc32c_words(uint32_t crc, uint64_t first, uint64_t second, uint64_t third, uint64_t fourth);
/// Feeds one byte.
uint32_t drover_crc32c_byte(uint32_t crc, uint8_t byte);
/// The CRC32C of a buffer, already inverted: equal to feeding its bytes one by one between two inversions.
uint32_t drover_crc32c(const void *bytes, uint64_t length);
