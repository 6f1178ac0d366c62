#include "server/http/page_cache.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "lib/base/check.h"
#include "lib/io/socket.h"

namespace ursula::http {
namespace {

constexpr std::size_t kOverheadBytes = 512;  // Of a page's own and its place in the map.
constexpr std::size_t kPartOverheadBytes = 64;

std::size_t TotalBytes(const std::vector<Bytes>& parts) {
  std::size_t bytes = 0;
  for (const Bytes& part : parts) bytes += part.size();
  return bytes;
}

// What shares memory may keep much more of it than it is itself.
Bytes Copied(const std::vector<Bytes>& parts) {
  const std::size_t size = TotalBytes(parts);
  std::shared_ptr<char[]> block = std::make_shared_for_overwrite<char[]>(size);
  char* at = block.get();
  for (const Bytes& part : parts) at = std::ranges::copy(part.view(), at).out;
  const std::string_view all(block.get(), size);
  return Bytes(std::move(block), all);
}

}  // namespace

std::size_t PageKey::Hash() const {
  std::size_t hash = std::hash<std::string_view>{}(stream.name);
  hash = hash * 31 + std::hash<std::string_view>{}(stream.affinity);
  hash = hash * 31 + std::hash<std::string_view>{}(stream.bucket);
  hash = hash * 31 + std::hash<uint64_t>{}(start.bytes);
  return hash * 31 + static_cast<std::size_t>(form) * 4 + static_cast<std::size_t>(coding);
}

PageCache::PageCache(io::Loop* loop, CompressQueue* queue) : loop_(loop), queue_(queue) {
  timer_.Then<&PageCache::TellReaders>(this);
}

PageCache::~PageCache() {
  while (!once_.empty()) Remove(once_.front());
  while (!again_.empty()) Remove(again_.front());
  URSULA_CHECK(pages_.empty());
}

// ---- readers -----------------------------------------------------------------------------------

void PageCache::Take(PageReader* reader, PagePtr page) {
  URSULA_CHECK(reader->page_ == nullptr);
  ++page->reader_count_;
  reader->page_ = std::move(page);
}

bool PageCache::Hold(PageReader* reader, const PageKey& key, const ReadRequest& request) {
  auto found = pages_.find(key);
  if (found == pages_.end()) return false;
  if (request.from_append_start && !found->second->from_append_start_) return false;
  Take(reader, found->second);
  return true;
}

bool PageCache::HoldSame(PageReader* reader, const PageKey& key, const ReadRequest& request,
                         const ReadReply& reply) {
  auto found = pages_.find(key);
  if (found == pages_.end()) return false;
  KeptPage& place = found->second->place_;
  if (place.incarnation != reply.info.incarnation || place.next != reply.next) return false;
  if (!reply.up_to_date && place.up_to_date) {
    if (IsShort(request, reply)) return false;  // For ever it would be too little.
    place.up_to_date = false;                   // A page that ends there although more follows.
  }
  if (request.from_append_start) found->second->from_append_start_ = true;
  Take(reader, found->second);
  Used(reader);
  return true;
}

void PageCache::Used(PageReader* reader) {
  URSULA_CHECK(reader->page_ != nullptr);
  counters_->page_hits.Add();
  SetUsed(reader->page_.get());
}

// What nobody waits for any more isn't compressed to its end.
void PageCache::Drop(PageReader* reader) {
  if (reader->linked()) reader->Unlink();
  PagePtr page = std::exchange(reader->page_, nullptr);
  if (page == nullptr || --page->reader_count_ > 0 || page->made_) return;
  page->job_.reset();
  Remove(page.get());
}

void PageCache::Await(PageReader* reader) {
  URSULA_CHECK(reader->page_ != nullptr && !reader->page_->made_);
  reader->page_->waiting_.PushBack(reader);
}

// A few in each turn, as the readers of a hub are: each answer is a page to be sent.
void PageCache::TellReaders() {
  std::size_t readers = 0;
  std::size_t bytes = 0;
  while (readers < kTurnReadersMax && bytes < kTurnBytesMax) {
    PageReader* reader = told_next_.PopFront();
    if (reader == nullptr) return;
    ++readers;
    bytes += TotalBytes(reader->page_->body_);
    reader->OnPageMade();
  }
  if (!told_next_.empty()) loop_->StartTimer(&timer_, loop_->now_ns());
}

// ---- pages -------------------------------------------------------------------------------------

PagePtr PageCache::NewPage(const PageKey& key, const ReadRequest& request,
                           const ReadReply& reply) const {
  auto page = std::make_shared<Page>();
  page->key_ = key;
  page->place_ = {reply.info.incarnation, reply.start, reply.next, reply.cut, reply.up_to_date};
  page->from_append_start_ = request.from_append_start;
  return page;
}

// One that is short though more follows may have been cut for want of memory: the next is longer.
bool PageCache::IsShort(const ReadRequest& request, const ReadReply& reply) {
  return reply.next.bytes - reply.start.bytes < request.bytes_max / 4;
}

bool PageCache::IsWorthKeeping(const ReadRequest& request, const ReadReply& reply) const {
  const uint64_t size = reply.next.bytes - reply.start.bytes;
  if (bytes_max_ == 0 || size < kPageBytesMin || reply.info.incarnation == 0) return false;
  return reply.up_to_date || !IsShort(request, reply);
}

std::size_t PageCache::CountedBytes(const PageKey& key, std::size_t bytes, std::size_t parts) {
  return kOverheadBytes + key.stream.name.size() + key.stream.affinity.size() + bytes +
         parts * kPartOverheadBytes;
}

// Nothing is copied that isn't kept: a copy is counted here alone.
bool PageCache::Fits(const PageKey& key, std::size_t bytes) const {
  return CountedBytes(key, bytes, 1) <= bytes_max_ / 4;
}

// What is read once isn't worth a copy.
bool PageCache::WasSeen(const PageKey& key, const ReadReply& reply) {
  const std::size_t hash = (key.Hash() * 31 + reply.info.incarnation) * 31 + reply.next.bytes;
  return std::exchange(seen_[hash % kSeenSlots], hash) == hash;
}

std::vector<Bytes> PageCache::Add(const PageKey& key, const ReadRequest& request,
                                  const ReadReply& reply, std::vector<Bytes> body, bool shares) {
  counters_->page_misses.Add();
  const std::size_t size = TotalBytes(body);
  bool keep = IsWorthKeeping(request, reply);
  if (shares) {
    // More pieces than one write takes are better off as one.
    const bool many = body.size() > io::Socket::kSendPartsMax;
    keep = keep && size <= kCopyBytesMax && Fits(key, size) && (many || WasSeen(key, reply));
    if (keep) body = {Copied(body)};
  }
  if (keep) {
    PagePtr page = NewPage(key, request, reply);
    page->body_ = body;
    page->made_ = true;
    PutThere(page);
    Keep(page.get());
  }
  return body;
}

void PageCache::AddEvent(const PageKey& key, const ReadRequest& request, const ReadReply& reply,
                         std::string_view event) {
  counters_->page_misses.Add();
  if (!IsWorthKeeping(request, reply) || !Fits(key, event.size())) return;
  if (!WasSeen(key, reply)) return;
  PagePtr page = NewPage(key, request, reply);
  page->event_ = Chunk::Of(event);
  page->made_ = true;
  PutThere(page);
  Keep(page.get());
}

void PageCache::Compress(PageReader* reader, const PageKey& key, const ReadRequest& request,
                         const ReadReply& reply, std::vector<Bytes> body) {
  counters_->page_misses.Add();
  PagePtr page = NewPage(key, request, reply);
  Take(reader, page);
  if (IsWorthKeeping(request, reply)) PutThere(page);
  protocol::Response response;
  response.body = std::move(body);
  page->job_ =
      std::make_unique<CompressJob>(queue_, protocol::Compression(std::move(response), key.coding),
                                    [this, made = page.get()] { OnCompressed(made); });
  page->job_->Start();
}

void PageCache::OnCompressed(Page* page) {
  const PagePtr kept = page->shared_from_this();
  protocol::Response response = page->job_->TakeResponse();
  page->job_.reset();
  page->coded_ = response.headers.Find("Content-Encoding").has_value();
  page->body_ = std::move(response.body);
  page->made_ = true;
  if (IsThere(*page)) {
    const std::size_t bytes = TotalBytes(page->body_);
    const bool large = !page->coded_ && (bytes > kCopyBytesMax || !Fits(page->key_, bytes));
    if (!page->coded_ && !large) page->body_ = {Copied(page->body_)};
    if (large) Remove(page);
    if (!large) Keep(page);
  }
  told_next_.Splice(&page->waiting_);
  if (!timer_.running()) TellReaders();
}

// ---- keeping -----------------------------------------------------------------------------------

bool PageCache::IsThere(const Page& page) const {
  auto found = pages_.find(page.key_);
  return found != pages_.end() && found->second.get() == &page;
}

void PageCache::PutThere(const PagePtr& page) {
  if (auto found = pages_.find(page->key_); found != pages_.end()) Remove(found->second.get());
  pages_.emplace(page->key_, page);
}

// REQUIRES: it is there.
void PageCache::Keep(Page* page) {
  const std::size_t bytes = CountedBytes(
      page->key_, TotalBytes(page->body_) + page->event_.coded().size(), page->body_.size());
  if (bytes > bytes_max_ / 4) return Remove(page);  // Too much for one.
  page->kept_bytes_ = bytes;
  bytes_ += bytes;
  counters_->page_bytes.Add(bytes);
  once_.PushBack(page);
  MakeRoom();
}

void PageCache::SetUsed(Page* page) {
  if (page->kept_bytes_ == 0) return;
  page->Unlink();
  again_.PushBack(page);
  if (!std::exchange(page->again_, true)) again_bytes_ += page->kept_bytes_;
  while (again_bytes_ > bytes_max_ / 4 * 3) {
    Page* oldest = again_.PopFront();
    oldest->again_ = false;
    again_bytes_ -= oldest->kept_bytes_;
    once_.PushBack(oldest);
  }
}

void PageCache::MakeRoom() {
  while (bytes_ > bytes_max_) {
    Remove(once_.empty() ? again_.front() : once_.front());
    counters_->page_evictions.Add();
  }
}

// It lives on for those who hold it.
void PageCache::Remove(Page* page) {
  if (page->linked()) page->Unlink();
  const std::size_t bytes = std::exchange(page->kept_bytes_, 0);
  bytes_ -= bytes;
  counters_->page_bytes.Subtract(bytes);
  if (std::exchange(page->again_, false)) again_bytes_ -= bytes;
  auto found = pages_.find(page->key_);
  if (found != pages_.end() && found->second.get() == page) pages_.erase(found);
}

}  // namespace ursula::http
