#include "lib/storage/payload_reader.h"

#include <algorithm>
#include <span>
#include <utility>

#include "lib/base/check.h"
#include "lib/base/crc32c.h"
#include "lib/base/sometimes.h"
#include "lib/storage/io_status.h"

namespace ursula::storage {
namespace {

constexpr uint32_t kPieceBytesMax = 1 << 20;  // Unless one block is longer.
constexpr std::size_t kAdviceMax = 64;

uint32_t PaddedBytes(const PayloadIndex::Extent& extent) {
  return (extent.bytes + kPayloadAlignment - 1) / kPayloadAlignment * kPayloadAlignment;
}

Status Damaged(const std::string& path, uint32_t offset) {
  return Status(StatusCode::kDataLoss, path + ": damaged at offset " + std::to_string(offset));
}

}  // namespace

PayloadReader::~PayloadReader() = default;

std::vector<std::unique_ptr<PayloadReader::Piece>> PayloadReader::PiecesOf(
    const std::vector<PayloadIndex::Extent>& extents) {
  std::vector<std::unique_ptr<Piece>> pieces;
  for (const PayloadIndex::Extent& extent : extents) {
    Piece* last = pieces.empty() ? nullptr : pieces.back().get();
    const uint32_t bytes = PaddedBytes(extent);
    if (last == nullptr || last->file != extent.file ||
        last->offset + last->bytes != extent.offset || last->bytes + bytes > kPieceBytesMax) {
      last = pieces.emplace_back(std::make_unique<Piece>()).get();
      last->file = extent.file;
      last->offset = extent.offset;
    }
    last->bytes += bytes;
    last->extents.push_back(extent);
  }
  return pieces;
}

Status PayloadReader::Refusal(const std::vector<std::unique_ptr<Piece>>& pieces) const {
  if (stopping_) return Status(StatusCode::kCancelled, "the payload store is stopping");
  if (waiting_.size() + pieces.size() > limits_.queue_max) {
    return Status(StatusCode::kResourceExhausted, "too many payload reads");
  }
  uint64_t held = held_bytes();
  uint64_t wanted = 0;
  for (const auto& piece : pieces) wanted += piece->bytes;
  if (held > 0 && held + wanted > limits_.held_bytes_max) {
    return Status(StatusCode::kResourceExhausted,
                  "too much was read and not taken by its readers yet; try again later");
  }
  return {};
}

void PayloadReader::Read(PayloadKey key, uint64_t from, uint64_t bytes_max,
                         const std::vector<PayloadIndex::Extent>& extents, Done done) {
  URSULA_CHECK(!extents.empty());
  auto task = std::make_unique<Task>();
  task->key = key;
  task->from = from;
  task->bytes_max = bytes_max;
  task->done = std::move(done);
  task->pieces = PiecesOf(extents);
  task->unread = task->pieces.size();
  Status refusal = Refusal(task->pieces);
  if (!refusal.ok()) {
    if (!stopping_) ++refused_;
    loop_.Defer([refused = std::move(task->done), refusal]() mutable { refused(refusal); });
    return;
  }
  for (const auto& piece : task->pieces) {
    piece->reader = this;
    piece->task = task.get();
    piece->buffer = std::make_shared<Buffer>(held_bytes_, piece->bytes);
    files_.Pin(piece->file);
    waiting_.push_back(piece.get());
  }
  tasks_.push_back(std::move(task));
  if (begin_deferred_) return;
  begin_deferred_ = true;
  loop_.Defer([this] {
    begin_deferred_ = false;
    Begin();
  });
}

void PayloadReader::Begin() {
  while (reading_ < limits_.reads_max && !waiting_.empty()) {
    Piece* piece = waiting_.front();
    waiting_.pop_front();
    BeginPiece(piece);
  }
}

void PayloadReader::BeginPiece(Piece* piece) {
  ++reading_;
  piece->source = files_.SourceOf(piece->file);
  if (sources_.Open(piece->source, piece)) OnPieceOpened(piece, Status());
}

void PayloadReader::OnPieceOpened(Piece* piece, const Status& opened) {
  if (!opened.ok()) {
    piece->status = opened;
    return EndReading(piece);
  }
  piece->buffer->Allocate();
  ReadRest(piece);
}

void PayloadReader::ReadRest(Piece* piece) {
  piece->source->file->Read(
      piece->offset + piece->filled,
      std::span<char>(piece->buffer->data() + piece->filled, piece->bytes - piece->filled),
      piece->op.Then<&Piece::OnRead>(piece));
}

void PayloadReader::OnPieceRead(Piece* piece, int64_t result) {
  if (result > 0) {
    piece->filled += static_cast<uint32_t>(result);
    if (piece->filled < piece->bytes) return ReadRest(piece);
  }
  if (result < 0) {
    piece->status = IoStatus("reading", piece->source->shared->path, result);
  } else {
    Check(piece);  // A file that ends early is found out there.
  }
  EndReading(piece);
}

void PayloadReader::EndReading(Piece* piece) {
  if (piece->status.code() == StatusCode::kDataLoss) {
    // None is known: the file itself isn't there.
    const bool gone = piece->damaged.empty();
    files_.OnDamaged(piece->status, piece->task->key, gone ? piece->extents : piece->damaged);
  }
  sources_.Close(piece->source);
  --reading_;
  EndPiece(piece);
  Begin();
}

std::optional<PayloadBlock> PayloadReader::BlockOf(std::string_view bytes, const PayloadFile& file,
                                                   PayloadKey key,
                                                   const PayloadIndex::Extent& extent) {
  std::optional<PayloadBlock> block;
  if (extent.bytes <= bytes.size()) {
    bytes = bytes.substr(0, extent.bytes);
    block = ParsePayloadHeader(bytes, file.seed, extent.offset);
  }
  if (!block.has_value() || block->key != key || block->start > extent.start ||
      block->start + block->length < extent.end() ||
      block->header_bytes + block->length != extent.bytes ||
      block->payload_crc !=
          Crc32c(PayloadBlockSeed(file.seed, extent.offset), bytes.substr(block->header_bytes))) {
    return std::nullopt;
  }
  return block;
}

void PayloadReader::Check(Piece* piece) {
  const PayloadFile& file = *piece->source->shared;
  for (const PayloadIndex::Extent& extent : piece->extents) {
    std::string_view bytes(piece->buffer->data(), piece->filled);
    bytes.remove_prefix(std::min<std::size_t>(bytes.size(), extent.offset - piece->offset));
    std::optional<PayloadBlock> block = BlockOf(bytes, file, piece->task->key, extent);
    if (!block.has_value()) {
      URSULA_SOMETIMES("storage: damaged payload is refused");
      if (piece->damaged.empty()) piece->status = Damaged(file.path, extent.offset);
      piece->damaged.push_back(extent);
    } else if (piece->damaged.empty()) {
      piece->blocks.push_back(std::move(*block));
    }
  }
}

void PayloadReader::EndPiece(Piece* piece) {
  Task* task = piece->task;
  URSULA_CHECK(task->unread > 0);
  files_.Unpin(piece->file);
  if (--task->unread == 0) EndTask(task);
}

void PayloadReader::AddBlock(const Piece& piece, std::size_t i, const Task& task,
                             PayloadSlice* slice) {
  const PayloadBlock& block = piece.blocks[i];
  const PayloadIndex::Extent& extent = piece.extents[i];
  const uint64_t end_max = task.from + std::min(task.bytes_max, UINT64_MAX - task.from);
  const uint64_t begin = slice->next;
  const uint64_t end = std::min(extent.end(), end_max);
  if (begin < extent.start || begin >= end) return;
  const char* payload = piece.buffer->data() + (extent.offset - piece.offset) + block.header_bytes;
  std::string_view view(payload + (begin - block.start), static_cast<std::size_t>(end - begin));
  slice->parts.push_back(Bytes(piece.buffer, view));
  slice->next = end;
  for (uint32_t relative : block.message_ends) {
    const uint64_t message_end = block.start + relative;
    if (message_end > begin && message_end <= end) slice->message_ends.push_back(message_end);
  }
}

// What comes before the first damage is good: it is given, and the next read meets the damage.
void PayloadReader::EndTask(Task* task) {
  PayloadSlice slice;
  slice.start = slice.next = task->from;
  Status status;
  for (const auto& piece : task->pieces) {
    for (std::size_t i = 0; i < piece->blocks.size(); ++i) AddBlock(*piece, i, *task, &slice);
    status = piece->status;
    if (!status.ok()) break;
  }
  Done done = std::move(task->done);
  auto found = std::find_if(tasks_.begin(), tasks_.end(),
                            [task](const auto& other) { return other.get() == task; });
  URSULA_CHECK(found != tasks_.end());
  // The piece whose callback this is must outlive it.
  loop_.Defer([ended = std::shared_ptr<Task>(std::move(*found))] {});
  tasks_.erase(found);
  if (slice.parts.empty()) {
    URSULA_CHECK(!status.ok());
    done(std::move(status));
  } else {
    done(std::move(slice));
  }
  if (stopping_) FinishStop();
}

void PayloadReader::ReadAhead(const std::vector<PayloadIndex::Extent>& extents) {
  for (const auto& piece : PiecesOf(extents)) {
    if (stopping_ || advice_.size() >= kAdviceMax) return;
    Advise(*piece);
  }
}

void PayloadReader::Advise(const Piece& piece) {
  files_.Pin(piece.file);
  PayloadSource* source = files_.SourceOf(piece.file);
  if (!source->open()) return files_.Unpin(piece.file);  // Advice isn't worth an opening.
  Advice* advice = advice_.emplace_back(std::make_unique<Advice>()).get();
  advice->reader = this;
  advice->file = piece.file;
  (void)sources_.Open(source, nullptr);
  if (source->file->ReadAhead(piece.offset, piece.bytes,
                              advice->op.Then<&Advice::OnDone>(advice))) {
    return;
  }
  EndAdvice(advice);
}

void PayloadReader::OnAdvised(Advice* advice) {
  EndAdvice(advice);
  if (stopping_) FinishStop();
}

void PayloadReader::EndAdvice(Advice* advice) {
  sources_.Close(files_.SourceOf(advice->file));
  files_.Unpin(advice->file);
  auto found = std::find_if(advice_.begin(), advice_.end(),
                            [advice](const auto& other) { return other.get() == advice; });
  URSULA_CHECK(found != advice_.end());
  advice_.erase(found);
}

void PayloadReader::Stop(Function<void()> done) {
  stopping_ = true;
  stop_done_ = std::move(done);
  std::deque<Piece*> waiting = std::move(waiting_);
  waiting_.clear();
  loop_.Defer([this, waiting = std::move(waiting)] {
    for (Piece* piece : waiting) {
      piece->status = Status(StatusCode::kCancelled, "the payload store is stopping");
      EndPiece(piece);
    }
    FinishStop();
  });
}

void PayloadReader::FinishStop() {
  if (!tasks_.empty() || !advice_.empty() || !stop_done_) return;
  loop_.Defer([done = std::move(stop_done_)]() mutable { done(); });
  stop_done_ = {};
}

}  // namespace ursula::storage
