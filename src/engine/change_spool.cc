// SPDX-License-Identifier: Apache-2.0
//
// ChangeSpool: memory first, then extents of a file.
//
// Extent = record*, record = size:u32 and a Changes message of that size, as on the wire.
#include "engine/change_spool.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>

#include "base/fault_point.h"

namespace ivy::engine {
namespace {

constexpr size_t kExtentBytes = 8 << 20;  // written and read at once

uint64_t MemoryOf(const Changes& changes) {
    return sizeof(Changes) + changes.ops.size() + changes.rows.size() + changes.keys.size() +
           changes.unchanged.size() * sizeof(UnchangedValue);
}

Status PassAppend() {
    IVY_FAULT_POINT("spill-append");
    return Status::Ok();
}

}  // namespace

Result<std::shared_ptr<SpillFile>> SpillFile::Make(const std::string& folder) {
    std::error_code error;
    std::filesystem::create_directories(folder, error);
    if (error) return Status::FromErrno("could not create folder \"" + folder + "\"", error.value());
    int fd = open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR)) {
        std::string name = folder + "/spill-XXXXXX";
        fd = mkostemp(name.data(), O_CLOEXEC);
        if (fd >= 0) unlink(name.c_str());
    }
    if (fd < 0) return Status::FromErrno("could not create a temporary file in \"" + folder + "\"", errno);
    return std::shared_ptr<SpillFile>(new SpillFile(fd));
}

SpillFile::~SpillFile() { close(fd_); }

Result<uint64_t> SpillFile::Append(const Bytes& bytes) {
    IVY_RETURN_IF_ERROR(PassAppend());
    size_t done = 0;
    while (done < bytes.size()) {
        const ssize_t count = pwrite(fd_, bytes.data() + done, bytes.size() - done, static_cast<off_t>(size_ + done));
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return Status::FromErrno("could not write a temporary file", count < 0 ? errno : ENOSPC);
        done += static_cast<size_t>(count);
    }
    const uint64_t offset = size_;
    size_ += bytes.size();
    return offset;
}

Status SpillFile::Read(uint64_t offset, size_t size, Bytes* out) const {
    out->resize(size);
    size_t done = 0;
    while (done < size) {
        const ssize_t count = pread(fd_, out->data() + done, size - done, static_cast<off_t>(offset + done));
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return Status::FromErrno("could not read a temporary file", errno);
        if (count == 0) return Status::Corrupt("a temporary file ended early");
        done += static_cast<size_t>(count);
    }
    return Status::Ok();
}

void ChangeSpool::Append(Changes changes) {
    memory_bytes_ += MemoryOf(changes);
    has_unchanged_ = has_unchanged_ || !changes.unchanged.empty();
    has_old_rows_ = has_old_rows_ || std::any_of(changes.ops.begin(), changes.ops.end(), [](uint8_t op) {
                        return op == static_cast<uint8_t>(RowOp::kUpdate) || op == static_cast<uint8_t>(RowOp::kDelete);
                    });
    memory_.push_back(std::move(changes));
    if (memory_bytes_ <= memory_limit_) return;
    std::shared_ptr<SpillFile> file = extents_.empty() ? nullptr : extents_.back().file;
    if (!file) {
        Result<std::shared_ptr<SpillFile>> made = SpillFile::Make(folder_);
        if (made.ok()) file = made.value();
    }
    const bool spilled = file && SpillTo(file).ok();
    // Without room on the disk it stays in memory; trying again with every change would cost too much.
    if (!spilled) memory_limit_ = memory_bytes_ * 2;
}

void ChangeSpool::AbortSubtransaction(Xid subxid) {
    if (!extents_.empty()) aborted_.insert(subxid);
    std::erase_if(memory_, [subxid](const Changes& changes) { return changes.subxid == subxid; });
    memory_bytes_ = 0;
    for (const Changes& changes : memory_) memory_bytes_ += MemoryOf(changes);
}

Status ChangeSpool::SpillTo(std::shared_ptr<SpillFile> file) {
    std::vector<Extent> extents;
    ByteWriter bytes;
    const auto write = [&]() -> Status {
        if (bytes.size() == 0) return Status::Ok();
        IVY_ASSIGN_OR_RETURN(const uint64_t offset, file->Append(bytes.bytes()));
        extents.push_back({file, offset, bytes.size()});
        bytes.Clear();
        return Status::Ok();
    };
    for (const Changes& changes : memory_) {
        const size_t start = bytes.size();
        bytes.U32(0);
        changes.Write(&bytes);
        bytes.PatchU32(start, static_cast<uint32_t>(bytes.size() - start - sizeof(uint32_t)));
        if (bytes.size() >= kExtentBytes) IVY_RETURN_IF_ERROR(write());
    }
    IVY_RETURN_IF_ERROR(write());
    extents_.insert(extents_.end(), extents.begin(), extents.end());
    memory_.clear();
    memory_.shrink_to_fit();
    memory_bytes_ = 0;
    return Status::Ok();
}

uint64_t ChangeSpool::bytes() const {
    uint64_t bytes = memory_bytes_;
    for (const Extent& extent : extents_) bytes += extent.size;
    return bytes;
}

Status ChangeSpool::ForEachSpilled(const std::function<Status(Changes)>& take) const {
    for (const Extent& extent : extents_) {
        Bytes bytes;
        IVY_RETURN_IF_ERROR(extent.file->Read(extent.offset, extent.size, &bytes));
        ByteReader in(bytes);
        while (in.left() > 0) {
            Frame frame;
            frame.type = static_cast<uint8_t>(MessageType::kChanges);
            const uint32_t size = in.U32();
            const uint8_t* from = in.Raw(size);
            if (!from) return Status::Corrupt("a temporary file is damaged");
            if (size == bytes.size() - sizeof size) {  // alone in its extent, and perhaps huge: not copied
                frame.payload = std::move(bytes);
                frame.payload.erase(frame.payload.begin(), frame.payload.begin() + sizeof size);
            } else {
                frame.payload.assign(from, from + size);
            }
            IVY_ASSIGN_OR_RETURN(Changes changes, Changes::Read(frame));
            frame.payload = Bytes();
            if (!aborted_.contains(changes.subxid)) IVY_RETURN_IF_ERROR(take(std::move(changes)));
        }
    }
    return Status::Ok();
}

Status ChangeSpool::ForEachBatch(uint64_t batch_bytes, const Take& take) const {
    std::vector<Changes> read;  // owns what came from a file
    std::vector<const Changes*> batch;
    uint64_t bytes = 0;
    const auto give = [&](bool last) -> Status {
        IVY_RETURN_IF_ERROR(take(batch, last));
        batch.clear();
        read.clear();
        bytes = 0;
        return Status::Ok();
    };
    IVY_RETURN_IF_ERROR(ForEachSpilled([&](Changes changes) -> Status {
        bytes += MemoryOf(changes);
        read.push_back(std::move(changes));
        if (bytes < batch_bytes) return Status::Ok();
        for (const Changes& one : read) batch.push_back(&one);
        return give(false);
    }));
    for (const Changes& one : read) batch.push_back(&one);
    for (const Changes& changes : memory_) {
        bytes += MemoryOf(changes);
        batch.push_back(&changes);
        if (bytes >= batch_bytes) IVY_RETURN_IF_ERROR(give(false));
    }
    return give(true);
}

}  // namespace ivy::engine
