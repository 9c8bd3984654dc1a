#pragma once
// A library for LD_PRELOAD. It writes down, in order and with contents, everything that a process changes below one
// directory, each flush of it, and what the process says on standard output (a flush before a word is before it here
// too). `Sources/CrashLab/Core/Trace.swift` reads what it writes.
//
// Set in the environment of the process:
//   DROVER_RECORDER_DIRECTORY  the directory; without it nothing is written down
//   DROVER_RECORDER_TRACE      the file to append to, outside of the directory
//   DROVER_RECORDER_SWALLOW    kinds of flushes that are neither done nor written down, though the process is told that
//                              they were, separated by commas: data (fsync, fdatasync, msync of files), meta (O_DSYNC
//                              and O_SYNC), directory (fsync of directories)
//   DROVER_RECORDER_SWALLOW_BELOW  only those of paths that begin so, relative to the directory
//   DROVER_RECORDER_FAIL       a number: that flush of a file (of those above but of directories) fails with EIO, and what
//                              was to be flushed is never written again, as Linux does it
//
// It sees the calls of libraries that reach libc by name, as LMDB's, Swift's and Foundation's do. Writes through a shared
// mapping it cannot see; whoever reads the trace compares its end with the files.

#include <stdint.h>

enum drover_trace_kind {
    DROVER_TRACE_OPEN = 1,      // file: a number for this descriptor's life; flags; payload: path
    DROVER_TRACE_WRITE = 2,     // file, offset; payload: the bytes
    DROVER_TRACE_TRUNCATE = 3,  // file, offset: the new length
    DROVER_TRACE_FLUSH = 4,     // file, offset: everything of it in this many records is durable
    DROVER_TRACE_FLUSH_ONE = 5, // the record before it of this file, a write, is durable (O_DSYNC)
    DROVER_TRACE_MKDIR = 6,     // payload: path
    DROVER_TRACE_RMDIR = 7,     // payload: path
    DROVER_TRACE_UNLINK = 8,    // payload: path
    DROVER_TRACE_RENAME = 9,    // payload: old path, 0, new path
    DROVER_TRACE_LINK = 10,     // payload: old path, 0, new path
    DROVER_TRACE_SAID = 11,     // payload: what was written to standard output
    DROVER_TRACE_FLUSH_FAILED = 12, // file, offset: as of a flush; pages of it stay as they are until written again
};

enum drover_trace_flags {
    DROVER_TRACE_CREATED = 1,   // open: the file was not there before
    DROVER_TRACE_CUT = 2,       // open: with O_TRUNC
    DROVER_TRACE_DIRECTORY = 4, // open: a directory
};

// Native byte order; `length` bytes of payload follow.
struct drover_trace_record {
    uint32_t kind;
    uint32_t flags;
    uint64_t file;
    uint64_t offset;
    uint64_t length;
};
