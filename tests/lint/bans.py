"""What our C++ may not say, where, and what to say instead."""
import dataclasses
import re

import layers

LIB = ("lib/",)
PRODUCT = ("lib/", "server/")
OURS = ("lib/", "server/", "examples/")
ALL = OURS + ("tests/",)


@dataclasses.dataclass
class Ban:
    rule: str
    pattern: str
    where: tuple  # path prefixes
    remedy: str
    except_in: tuple = ()


PURE = tuple(m + "/" for m in layers.PURE)

BANS = [
    Ban("threads",
        r"\bstd::(recursive_|shared_|timed_)?mutex\b|\bstd::j?thread\b|\bthread_local\b"
        r"|\bstd::condition_variable|\babsl::(Mutex|CondVar)\b|\bpthread_\w+",
        PRODUCT,
        "state has one owner: post to the owning core's mailbox (lib/io)",
        # sync.h blocks a thread of the embedder's own.
        ("lib/io/", "server/peer/", "lib/include/ursula/sync.h")),
    Ban("atomic_pointers",
        r"\bstd::atomic<\s*std::(shared|weak)_ptr\b",
        ALL,
        "io::Guarded (lib/io/guarded.h): in libstdc++ 12 a load races with the next store"),
    Ban("clocks",
        r"\bstd::chrono::(steady|system|high_resolution|utc)_clock\b|\bclock_gettime\b"
        r"|\bgettimeofday\b|\babsl::(Now|GetCurrentTimeNanos)\b|(?<![\w.>:])(std::)?time\s*\("
        r"|\bstd::this_thread::sleep|\babsl::SleepFor\b|(?<![\w.>:])(u|nano)?sleep\s*\(",
        PRODUCT + ("tests/unit/",),
        "take the time from the loop's clock, or as an argument (now_ms); tests drive a clock",
        ("lib/io/", "server/peer/")),
    Ban("entropy",
        r"\bstd::random_device\b|(?<![\w.>:])(std::)?s?rand\s*\(|\bgetrandom\s*\(|\bgetentropy\b"
        r"|\babsl::(Insecure)?BitGen\b",
        PRODUCT + ("tests/unit/",),
        "take a Random (lib/base/random.h) that the caller seeds",
        ("lib/io/",)),
    Ban("coroutines",
        r"\bco_(await|return|yield)\b",
        ALL,
        "g++ 12 miscompiles them: a caller-owned Op, a callback On<PastParticiple>, a State enum"),
    Ban("futures",
        r"\bstd::(shared_)?(future|promise|packaged_task)\b|\bstd::async\b",
        OURS,
        "a callback; threads of an embedder use ursula::Wait (ursula/sync.h)"),
    Ban("throw",
        r"\bthrow\b",
        OURS,
        "an Outcome, a Status, or URSULA_CHECK for a bug"),
    Ban("assert",
        r"(?<!\w)assert\s*\(|#\s*include\s*<cassert>",
        OURS,
        "URSULA_CHECK (lib/base/check.h), which stays on in release"),
    Ban("console",
        r"\bstd::(cout|cerr|clog)\b|(?<!\w)(std::)?(v?f?printf|puts|putchar|perror)\s*\(",
        LIB,
        "the library is a guest: report through the log sink of its options",
        ("lib/base/check",)),
    Ban("pure",
        r"\bstd::(atomic|filesystem|[io]?fstream)\b|#\s*include\s*<(atomic|thread|mutex|fstream"
        r"|filesystem|future|condition_variable|shared_mutex|random|ctime|iostream|unistd\.h"
        r"|fcntl\.h|sys/[\w/]+\.h|time\.h|poll\.h)>",
        PURE,
        "a pure core has no clock, entropy, thread, atomic, file or socket: take values, return"
        " values"),
    Ban("public_names",
        r"(?i)\b\w*(io_uring|grpc|llhttp|raft)\w*|\bS3\w*|\babsl\b",
        ("lib/include/",),
        "public headers name no mechanism and no dependency"),
    Ban("using_namespace_std",
        r"\busing\s+namespace\s+std\s*;",
        ALL,
        "write std::"),
]


def check(path, stripped):
    """(rule, line, message) for each banned word of a C++ file."""
    found = []
    for ban in BANS:
        if not path.startswith(ban.where) or path.startswith(ban.except_in or ("\0",)):
            continue
        for match in re.finditer(ban.pattern, stripped):
            line = stripped.count("\n", 0, match.start()) + 1
            found.append((ban.rule, line, "`%s`: %s" % (match[0].strip(), ban.remedy)))
    return found
