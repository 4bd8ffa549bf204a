// SPDX-License-Identifier: Apache-2.0
// Writing of segments, opening with all checks, and look-ups.
#include "index/segment.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>

namespace ivy::index {

namespace {

constexpr uint64_t kMagic = 0x3153594b59564921;  // "!IVYKYS1"
constexpr uint32_t kVersion = 1;
constexpr size_t kPageSize = 4096;
constexpr size_t kPageHeader = 8;
constexpr size_t kEntriesPerPage = (kPageSize - kPageHeader) / sizeof(uint64_t);

struct Header {
    uint64_t magic = kMagic;
    uint32_t version = kVersion;
    uint32_t has_range = 0;
    uint64_t rows = 0;
    uint64_t pages = 0;
    uint64_t file_size = 0;
    int64_t min = 0;
    int64_t max = 0;
    uint32_t resident_crc = 0;  // of everything behind the pages
    uint32_t header_crc = 0;    // of the fields above
};

uint32_t HeaderCrc(const Header& header) { return Crc32(&header, offsetof(Header, header_crc)); }

struct PageHeader {
    uint32_t crc = 0;  // of the rest of the page
    uint16_t count = 0;
    uint8_t shift = 0;
    uint8_t zero = 0;
};
static_assert(sizeof(PageHeader) == kPageHeader);

int RowBits(uint64_t rows) { return std::max(1, static_cast<int>(std::bit_width(rows > 0 ? rows - 1 : 0))); }

// A file that is removed again unless it gets its name.
class PendingFile {
  public:
    explicit PendingFile(const std::string& path) : path_(path), temporary_(path + ".tmp") {
        fd_ = ::open(temporary_.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
        if (fd_ < 0) status_ = Failed("could not create");
    }
    ~PendingFile() {
        if (fd_ >= 0) {
            ::close(fd_);
            ::unlink(temporary_.c_str());
        }
    }
    void Write(const void* data, size_t size) {
        const auto* at = static_cast<const uint8_t*>(data);
        while (status_.ok() && size > 0) {
            const ssize_t written = ::write(fd_, at, size);
            if (written < 0 && errno == EINTR) continue;
            if (written < 0) {
                status_ = Failed("could not write");
                return;
            }
            at += written;
            size -= static_cast<size_t>(written);
        }
    }
    // Writes at the start of the file instead of at its end.
    void WriteAtStart(const void* data, size_t size) {
        if (status_.ok() && ::lseek(fd_, 0, SEEK_SET) < 0) status_ = Failed("could not seek in");
        Write(data, size);
    }
    Status Finish() {
        if (status_.ok() && ::fsync(fd_) != 0) status_ = Failed("could not fsync");
        if (status_.ok() && ::rename(temporary_.c_str(), path_.c_str()) != 0) status_ = Failed("could not rename");
        if (!status_.ok()) return status_;
        ::close(fd_);
        fd_ = -1;
        const size_t slash = path_.rfind('/');
        const std::string folder = slash == std::string::npos ? "." : path_.substr(0, slash + 1);
        const int folder_fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (folder_fd < 0) return Failed("could not open the folder of");
        if (::fsync(folder_fd) != 0) status_ = Failed("could not fsync the folder of");
        ::close(folder_fd);
        return status_;
    }

  private:
    Status Failed(const char* what) const {
        return Status::FromErrno(std::string(what) + " key index \"" + path_ + "\"", errno);
    }
    const std::string path_;
    const std::string temporary_;
    int fd_ = -1;
    Status status_;
};

}  // namespace

Status SegmentBuilder::Write(const std::string& path) {
    std::sort(entries_.begin(), entries_.end(),
              [](const Entry& a, const Entry& b) { return a.hash < b.hash || (a.hash == b.hash && a.row < b.row); });
    const uint64_t rows = entries_.size();
    const int row_bits = RowBits(rows);
    const uint64_t pages = (rows + kEntriesPerPage - 1) / kEntriesPerPage;

    PendingFile file(path);
    std::vector<uint8_t> page(kPageSize, 0);
    file.Write(page.data(), kPageSize);  // the header's place
    ByteWriter resident;
    for (uint64_t first = 0; first < rows; first += kEntriesPerPage) {
        const uint64_t count = std::min<uint64_t>(kEntriesPerPage, rows - first);
        const uint64_t base = entries_[first].hash;
        const int span_bits = std::bit_width(entries_[first + count - 1].hash - base);
        PageHeader header;
        header.count = static_cast<uint16_t>(count);
        header.shift = static_cast<uint8_t>(std::max(0, span_bits - (64 - row_bits)));
        std::fill(page.begin(), page.end(), 0);
        for (uint64_t i = 0; i < count; i++) {
            const Entry& entry = entries_[first + i];
            const uint64_t packed = (entry.hash - base) >> header.shift << row_bits | entry.row;
            std::memcpy(page.data() + kPageHeader + i * sizeof packed, &packed, sizeof packed);
        }
        std::memcpy(page.data(), &header, sizeof header);
        header.crc = Crc32(page.data() + sizeof header.crc, kPageSize - sizeof header.crc);
        std::memcpy(page.data(), &header, sizeof header);
        file.Write(page.data(), kPageSize);
        resident.U64(base);
    }
    std::vector<uint64_t> hashes;
    hashes.reserve(rows);
    for (const Entry& entry : entries_) {
        if (hashes.empty() || hashes.back() != entry.hash) hashes.push_back(entry.hash);
    }
    std::vector<Entry>().swap(entries_);
    FuseFilter::Build(hashes).Write(&resident);
    file.Write(resident.bytes().data(), resident.size());

    Header header;
    header.rows = rows;
    header.pages = pages;
    header.file_size = kPageSize * (pages + 1) + resident.size();
    header.has_range = range_ ? 1 : 0;
    if (range_) {
        header.min = range_->min;
        header.max = range_->max;
    }
    header.resident_crc = Crc32(resident.bytes().data(), resident.size());
    header.header_crc = HeaderCrc(header);
    file.WriteAtStart(&header, sizeof header);
    return file.Finish();
}

Result<std::unique_ptr<Segment>> Segment::Open(const std::string& path, uint64_t rows) {
    std::unique_ptr<Segment> segment(new Segment(path));
    IVY_RETURN_IF_ERROR(segment->Load(rows));
    return segment;
}

Status Segment::Load(uint64_t rows) {
    const int fd = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return Status::FromErrno("could not open key index \"" + path_ + "\"", errno);
    struct stat info;
    if (::fstat(fd, &info) == 0 && static_cast<size_t>(info.st_size) >= kPageSize) {
        map_size_ = static_cast<size_t>(info.st_size);
        void* map = ::mmap(nullptr, map_size_, PROT_READ, MAP_SHARED, fd, 0);
        if (map != MAP_FAILED) map_ = static_cast<const uint8_t*>(map);
    }
    const int error = errno;
    ::close(fd);
    const Status damaged = Status::Corrupt("key index \"" + path_ + "\" is damaged");
    if (!map_) return map_size_ ? Status::FromErrno("could not map key index \"" + path_ + "\"", error) : damaged;

    Header header;
    std::memcpy(&header, map_, sizeof header);
    if (header.magic != kMagic || header.header_crc != HeaderCrc(header)) return damaged;
    if (header.version != kVersion) return Status::Corrupt("key index \"" + path_ + "\" has another version");
    if (header.file_size != map_size_ || header.pages > map_size_ / kPageSize - 1) return damaged;
    if (header.pages != (header.rows + kEntriesPerPage - 1) / kEntriesPerPage) return damaged;
    if (header.rows != rows) {
        return Status::Corrupt("key index \"" + path_ + "\" has " + std::to_string(header.rows) +
                               " rows, its data file " + std::to_string(rows));
    }
    const size_t resident_at = kPageSize * (header.pages + 1);
    if (Crc32(map_ + resident_at, map_size_ - resident_at) != header.resident_crc) return damaged;
    ByteReader resident(map_ + resident_at, map_size_ - resident_at);
    const uint8_t* first_hashes = resident.Raw(header.pages * sizeof(uint64_t));
    if (!first_hashes) return damaged;
    first_hashes_.resize(header.pages);
    if (header.pages > 0) std::memcpy(first_hashes_.data(), first_hashes, header.pages * sizeof(uint64_t));
    filter_ = FuseFilter::Read(&resident);
    if (!resident.Finish("key index").ok()) return damaged;
    rows_ = rows;
    row_bits_ = RowBits(rows);
    verified_.assign(header.pages, false);
    if (header.has_range) range_ = KeyRange{header.min, header.max};
    ::madvise(const_cast<uint8_t*>(map_), map_size_, MADV_RANDOM);
    return Status::Ok();
}

Segment::~Segment() {
    if (map_) ::munmap(const_cast<uint8_t*>(map_), map_size_);
}

// The first page that can hold the hash: the one before the first that starts at or above it. Hashes are evenly
// distributed, so the search starts where the page should be and widens from there.
size_t Segment::PageOf(uint64_t hash) const {
    const size_t pages = first_hashes_.size();
    const auto guess = static_cast<size_t>(static_cast<unsigned __int128>(hash) * pages >> 64);
    size_t low = guess, high = guess;
    for (size_t step = 1; low > 0 && first_hashes_[low] >= hash; step *= 2) low -= std::min(low, step);
    for (size_t step = 1; high < pages && first_hashes_[high] < hash; step *= 2) high = std::min(pages, high + step);
    const auto first =
        std::lower_bound(first_hashes_.begin() + static_cast<ptrdiff_t>(low),
                         first_hashes_.begin() + static_cast<ptrdiff_t>(std::min(pages, high + 1)), hash);
    const auto page = static_cast<size_t>(first - first_hashes_.begin());
    return page > 0 ? page - 1 : 0;
}

Result<const uint8_t*> Segment::Page(uint64_t page) {
    const uint8_t* data = map_ + kPageSize * (page + 1);
    if (verified_[page]) return data;
    PageHeader header;
    std::memcpy(&header, data, sizeof header);
    const uint64_t count = std::min<uint64_t>(kEntriesPerPage, rows_ - page * kEntriesPerPage);
    if (header.count != count || header.shift > 63 ||
        header.crc != Crc32(data + sizeof header.crc, kPageSize - sizeof header.crc)) {
        ::unlink(path_.c_str());
        return Status::Corrupt("key index \"" + path_ + "\" is damaged in page " + std::to_string(page));
    }
    verified_[page] = true;
    return data;
}

// Reads the entry under the cursor and decides whether it matches.
Status Segment::Look(uint64_t hash, Cursor* cursor) {
    cursor->matches = false;
    const uint64_t page = cursor->entry / kEntriesPerPage;
    if (cursor->entry >= rows_ || first_hashes_[page] > hash) return Status::Ok();
    IVY_ASSIGN_OR_RETURN(const uint8_t* data, Page(page));
    PageHeader header;
    std::memcpy(&header, data, sizeof header);
    uint64_t entry;
    std::memcpy(&entry, data + kPageHeader + cursor->entry % kEntriesPerPage * sizeof entry, sizeof entry);
    cursor->matches = entry >> row_bits_ == (hash - first_hashes_[page]) >> header.shift;
    cursor->row = entry & ((uint64_t{1} << row_bits_) - 1);
    return Status::Ok();
}

Status Segment::Seek(uint64_t hash, uint64_t skip, Cursor* cursor) {
    if (rows_ == 0 || first_hashes_[0] > hash) return Status::Ok();
    const uint64_t page = PageOf(hash);
    IVY_ASSIGN_OR_RETURN(const uint8_t* data, Page(page));
    PageHeader header;
    std::memcpy(&header, data, sizeof header);
    const uint64_t wanted = (hash - first_hashes_[page]) >> header.shift;
    uint64_t low = 0, high = header.count;
    while (low < high) {
        const uint64_t middle = (low + high) / 2;
        uint64_t entry;
        std::memcpy(&entry, data + kPageHeader + middle * sizeof entry, sizeof entry);
        if (entry >> row_bits_ < wanted) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    cursor->entry = page * kEntriesPerPage + low + skip;
    return Look(hash, cursor);
}

Status Segment::Next(uint64_t hash, Cursor* cursor) {
    cursor->entry++;
    return Look(hash, cursor);
}

}  // namespace ivy::index
