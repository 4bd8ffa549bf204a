// SPDX-License-Identifier: Apache-2.0
// Frames: assembling and parsing. The buffer grows with what has arrived, never by a length that was only promised, and not
// beyond the frame's end: a frame may be a gigabyte. One that has the buffer to itself is given out with it, not copied.
#include "protocol/frame.h"

#include <algorithm>

namespace ivy {

namespace {
constexpr size_t kHeader = 4;
constexpr size_t kReadSize = 64 * 1024;
constexpr size_t kHuge = 16 * kReadSize;  // bytes that should not be paid for any longer than needed

// The size that a frame at the start of "bytes" says it has after its header; 0 if that is not known yet.
size_t FrameSize(const uint8_t* bytes, size_t held) {
    if (held < kHeader) return 0;
    uint32_t size;
    std::memcpy(&size, bytes, kHeader);
    return size;
}
}  // namespace

void AppendFrame(uint8_t type, const Bytes& payload, Bytes* out) {
    const auto size = static_cast<uint32_t>(payload.size() + 1);
    const auto* from = reinterpret_cast<const uint8_t*>(&size);
    out->reserve(out->size() + kHeader + size);
    out->insert(out->end(), from, from + kHeader);
    out->push_back(type);
    out->insert(out->end(), payload.begin(), payload.end());
}

uint8_t* FrameParser::Reserve(size_t minimum, size_t* available) {
    if (taken_ > 0 && (taken_ == filled_ || taken_ > kReadSize)) {
        std::copy(buffer_.begin() + static_cast<ptrdiff_t>(taken_), buffer_.begin() + static_cast<ptrdiff_t>(filled_),
                  buffer_.begin());
        filled_ -= taken_;
        taken_ = 0;
    }
    const size_t wanted = filled_ + std::max(minimum, kReadSize);
    if (buffer_.size() < wanted) {
        const size_t frame_end = taken_ + kHeader + FrameSize(buffer_.data() + taken_, filled_ - taken_);
        buffer_.resize(std::max(wanted, std::min(buffer_.size() * 2, frame_end + kReadSize)));
    }
    *available = buffer_.size() - filled_;
    return buffer_.data() + filled_;
}

Result<bool> FrameParser::Next(Frame* out) {
    if (out->payload.capacity() > kHuge) out->payload = Bytes();
    const size_t held = filled_ - taken_;
    if (held < kHeader) return false;
    const size_t size = FrameSize(buffer_.data() + taken_, held);
    if (size == 0 || size > kMaxFrameSize)
        return Status::Make(sqlstate::kProtocolViolation, "frame size is out of range");
    if (held - kHeader < size) return false;
    const uint8_t* at = buffer_.data() + taken_ + kHeader;
    out->type = at[0];
    taken_ += kHeader + size;
    if (size > kHuge && taken_ == filled_ && taken_ == kHeader + size) {
        out->payload = std::move(buffer_);
        out->payload.resize(taken_);
        out->payload.erase(out->payload.begin(), out->payload.begin() + kHeader + 1);
        buffer_ = Bytes();
        taken_ = filled_ = 0;
        return true;
    }
    out->payload.assign(at + 1, at + size);
    if (buffer_.size() > kHuge && taken_ == filled_) {
        buffer_ = Bytes();
        taken_ = filled_ = 0;
    }
    return true;
}

}  // namespace ivy
