// SPDX-License-Identifier: Apache-2.0
// The parts of ByteReader that need no inlining, and CRC-32 by zlib.
#include "base/bytes.h"

#include <zlib.h>

namespace ivy {

uint32_t ByteReader::Count(size_t item_size) {
    const uint32_t count = U32();
    if (ok_ && item_size > 0 && count > left_ / item_size) ok_ = false;
    return ok_ ? count : 0;
}

Status ByteReader::Finish(const char* what) const {
    if (!ok_) return Status::Make(sqlstate::kProtocolViolation, std::string(what) + " is cut short");
    if (left_ != 0) return Status::Make(sqlstate::kProtocolViolation, std::string(what) + " has bytes left over");
    return Status::Ok();
}

uint32_t Crc32(const void* data, size_t size, uint32_t crc) {
    return static_cast<uint32_t>(crc32_z(crc, static_cast<const Bytef*>(data), size));
}

}  // namespace ivy
