// SPDX-License-Identifier: Apache-2.0
//
// Frames: how messages are cut out of a byte stream.
//
// frame = size:u32 (of what follows, 1 to kMaxFrameSize)  type:u8  payload
//
// The library does no I/O of its own: the engine's threads block in read(2), Postgres processes must wait on latches.
// Both feed a FrameParser and send what AppendFrame made.
#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace ivy {

// The largest frame that either side accepts. A Postgres value is below 1 GB, a frame holds at least one row.
inline constexpr uint32_t kMaxFrameSize = 0x7fffffff;

struct Frame {
    uint8_t type = 0;
    Bytes payload;
    ByteReader reader() const { return ByteReader(payload); }
};

// Appends one frame to a buffer of bytes to send.
void AppendFrame(uint8_t type, const Bytes& payload, Bytes* out);

// Collects received bytes and gives complete frames.
class FrameParser {
  public:
    // A place for at least "minimum" bytes to receive into; follow with Received().
    uint8_t* Reserve(size_t minimum, size_t* available);
    void Received(size_t count) { filled_ += count; }
    // Moves the next complete frame to *out and returns true; false if more bytes are needed; an error if the stream is
    // damaged, after which the connection is useless.
    Result<bool> Next(Frame* out);
    // Whether bytes of an unfinished frame are held.
    bool Partial() const { return filled_ > taken_; }

  private:
    Bytes buffer_;
    size_t taken_ = 0;   // bytes already given out as frames
    size_t filled_ = 0;  // bytes received
};

}  // namespace ivy
