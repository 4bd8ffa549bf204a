// SPDX-License-Identifier: Apache-2.0
// Frames: assembling and parsing. The buffer grows with what has arrived, never by a length that was only promised.
#include "protocol/frame.h"

#include <algorithm>

namespace ivy {

namespace {
constexpr size_t kHeader = 4;
constexpr size_t kReadSize = 64 * 1024;
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
    if (buffer_.size() < wanted) buffer_.resize(std::max(wanted, std::min(buffer_.size() * 2, wanted + filled_)));
    *available = buffer_.size() - filled_;
    return buffer_.data() + filled_;
}

Result<bool> FrameParser::Next(Frame* out) {
    const size_t held = filled_ - taken_;
    if (held < kHeader) return false;
    uint32_t size;
    std::memcpy(&size, buffer_.data() + taken_, kHeader);
    if (size == 0 || size > kMaxFrameSize)
        return Status::Make(sqlstate::kProtocolViolation, "frame size is out of range");
    if (held - kHeader < size) return false;
    const uint8_t* at = buffer_.data() + taken_ + kHeader;
    out->type = at[0];
    out->payload.assign(at + 1, at + size);
    taken_ += kHeader + size;
    if (buffer_.size() > 16 * kReadSize && taken_ == filled_) {  // one huge frame should not be paid for ever
        buffer_ = Bytes();
        taken_ = filled_ = 0;
    }
    return true;
}

}  // namespace ivy
