#include "lib/storage/disk_watch.h"

#include <algorithm>
#include <utility>

#include "lib/base/check.h"
#include "lib/base/sometimes.h"
#include "lib/io/errors.h"

namespace ursula::storage {
namespace {

constexpr uint64_t kNsPerSecond = 1'000'000'000;

// None: not known.
std::optional<uint64_t> DeviceOf(io::Disk& disk, const std::string& folder) {
  const Result<std::shared_ptr<const io::FileIdentity>> held = disk.Hold(folder);
  if (!held.ok()) return std::nullopt;
  return (*held)->device;
}

}  // namespace

DiskWatch::DiskWatch(io::Loop* loop, const DataDirectory& directory, uint32_t ordinal,
                     Options options)
    : loop_(*loop), options_(std::move(options)) {
  Add(directory.wal_path(), ordinal);
  if (!options_.idle) return;
  const std::optional<uint64_t> log = DeviceOf(loop_.disk(), directory.wal_path());
  const std::optional<uint64_t> payload = DeviceOf(loop_.disk(), directory.payload_path());
  const std::optional<uint64_t> snapshots = DeviceOf(loop_.disk(), directory.snapshot_path());
  if (payload != log) {
    Add(directory.payload_path(), ordinal);
    payload_volume_ = 1;
  }
  if (snapshots == payload) {
    snapshot_volume_ = payload_volume_;
  } else if (snapshots != log) {
    snapshot_volume_ = volumes_.size();
    Add(directory.snapshot_path(), ordinal);
  }
}

void DiskWatch::Add(const std::string& folder, uint32_t ordinal) {
  volumes_.push_back(std::make_unique<Volume>(
      &loop_, VolumeProbe::Options{.folder = folder,
                                   .name = "probe-" + std::to_string(ordinal) + ".tmp",
                                   .direct = options_.direct}));
  volumes_.back()->answered_ns = loop_.now_ns();
}

void DiskWatch::Tick(const Synced& synced) {
  URSULA_CHECK(!stop_done_);
  for (std::size_t i = 0; i < volumes_.size(); ++i) {
    Volume& volume = *volumes_[i];
    uint64_t count = i == 0 ? synced.log : 0;
    if (i == payload_volume_) count += synced.payload;
    if (i == snapshot_volume_) count += synced.snapshots;
    uint64_t waiting_since_ns = i == 0 ? synced.log_writing_since_ns : 0;
    if (volume.probe.busy()) {
      const uint64_t asked_ns = volume.probe.since_ns();
      waiting_since_ns = waiting_since_ns == 0 ? asked_ns : std::min(waiting_since_ns, asked_ns);
    }
    Judge(&volume, waiting_since_ns);
    AskIfDue(&volume, count);
  }
}

void DiskWatch::Judge(Volume* volume, uint64_t waiting_since_ns) {
  const uint64_t now_ns = loop_.now_ns();
  const uint64_t waited_ns =
      waiting_since_ns == 0 || waiting_since_ns > now_ns ? 0 : now_ns - waiting_since_ns;
  if (waited_ns > kQuickNs) volume->quick_answers = 0;
  volume->stuck = waited_ns >= kHangNs || !volume->refusal.ok();
  if (!volume->hangs && volume->stuck) {
    URSULA_SOMETIMES("storage: a volume doesn't answer");
    volume->hangs = true;
    volume->quick_answers = 0;
    volume->since_ns = waited_ns >= kHangNs ? waiting_since_ns : now_ns;
    if (options_.log) options_.log(LogLevel::kError, Text(*volume));
  } else if (volume->hangs && volume->quick_answers >= kQuickAnswers) {
    URSULA_SOMETIMES("storage: a volume answers again");
    volume->hangs = false;
    if (options_.log) {
      options_.log(LogLevel::kWarning, "the disk of " + volume->probe.folder() + " answers again");
    }
  }
}

void DiskWatch::AskIfDue(Volume* volume, uint64_t synced) {
  const uint64_t now_ns = loop_.now_ns();
  if (std::exchange(volume->synced, synced) != synced) volume->answered_ns = now_ns;
  if (volume->probe.busy() || !(volume->hangs || options_.idle)) return;
  if (now_ns < volume->answered_ns + (volume->hangs ? kAgainNs : kIdleNs)) return;
  volume->probe.Ask(
      [this, volume](VolumeProbe::Answer answer) { OnAnswer(volume, std::move(answer)); });
}

void DiskWatch::OnAnswer(Volume* volume, VolumeProbe::Answer answer) {
  volume->answered_ns = loop_.now_ns();
  if (answer.sync_ns != 0 && answer.status.ok()) probe_us_.Add(answer.sync_ns / 1000);
  // A full disk answers: whether it is full is for those to say who need space.
  const bool refused = !answer.status.ok() && !io::MayPass(answer.status);
  volume->refusal = refused ? std::move(answer.status) : Status();
  if (refused || answer.took_ns > kQuickNs) {
    volume->quick_answers = 0;
  } else if (volume->hangs) {
    ++volume->quick_answers;
  }
}

Status DiskWatch::Answers() const {
  for (const auto& volume : volumes_) {
    if (volume->hangs) return Status(StatusCode::kUnavailable, Text(*volume));
  }
  return {};
}

uint64_t DiskWatch::hanging() const {
  return static_cast<uint64_t>(
      std::ranges::count_if(volumes_, [](const auto& volume) { return volume->hangs; }));
}

std::string DiskWatch::Text(const Volume& volume) const {
  const std::string end = "; look at the disk: the node goes on by itself once it answers";
  if (!volume.refusal.ok()) {
    return "the disk takes no writes: " + volume.refusal.message() + end;
  }
  const uint64_t seconds = (loop_.now_ns() - volume.since_ns) / kNsPerSecond;
  return "the disk of " + volume.probe.folder() + " hasn't answered for " +
         std::to_string(seconds) + " s" + end;
}

void DiskWatch::Stop(Function<void()> done) {
  URSULA_CHECK(!stop_done_);
  stop_done_ = std::move(done);
  stopping_ = volumes_.size();
  for (auto& volume : volumes_) {
    volume->probe.Stop([this] {
      if (--stopping_ == 0) loop_.Defer(std::exchange(stop_done_, nullptr));
    });
  }
}

}  // namespace ursula::storage
