#!/usr/bin/env python3
"""A data directory that is removed, replaced or opened twice under a running server; servers that
crash in a loop; a small volume, and one whose file system reserves nothing."""
import os
import pathlib
import shutil
import tempfile
import time
import unittest

import harness
import volume

GONE_WITHIN_S = 2.0
SLACK_S = 8.0  # Of a busy machine.


def bytes_below(path):
    return sum(file.stat().st_blocks * 512 for file in pathlib.Path(path).rglob("*") if file.is_file())


def is_zeroed(path):
    """Of a second segment: reserving leaves its size alone."""
    info = path.stat()
    return 1 << 20 < info.st_blocks * 512 <= info.st_size + (64 << 10)


def ends(test, path, change, word):
    """After `change` appends are 503 and readiness says `word`; reads go on. The log has its next
    segment by then, so that it looks for no place for one."""
    with harness.Server(data_dir=path, admin=True) as server:
        test.assertEqual(server.ask("PUT", "/v1/stream/s")[0], 201)
        test.assertEqual(server.append("/v1/stream/s", b"before" * 50000)[0], 204)
        admin = server.admin_port()
        test.assertEqual(server.ask("GET", "/readyz", port=admin)[0], 200)
        harness.wait_until(lambda: any(map(is_zeroed, pathlib.Path(path, "wal").glob("*1.wal"))))
        change()
        started = time.monotonic()
        status = 204
        # What is under way when the log ends may be there: 504.
        while status != 503 and time.monotonic() - started < GONE_WITHIN_S + SLACK_S:
            status, _, body = server.append("/v1/stream/s", b"after")
            test.assertIn(status, (204, 503, 504), body)
        test.assertEqual(status, 503, body)
        harness.wait_until(lambda: server.ask("GET", "/readyz", port=admin)[0] == 503)
        # Or what the log itself met, if it needed something there just then.
        test.assertRegex(server.ask("GET", "/readyz", port=admin)[2].decode(),
                         word + "|No such file or directory")
        test.assertTrue(server.read_all("/v1/stream/s").startswith(b"before"))


class DirectoryTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="ursula-")
        self.path = os.path.join(self.folder.name, "data")
        self.addCleanup(self.folder.cleanup)

    def ends(self, change, word):
        ends(self, self.path, change, word)

    def test_removed(self):
        self.ends(lambda: shutil.rmtree(self.path), "was removed")

    def test_replaced(self):
        def replace():
            os.rename(self.path, self.path + ".away")
            shutil.copytree(self.path + ".away", self.path)
        self.ends(replace, "was replaced")

    def test_renamed(self):
        self.ends(lambda: os.rename(self.path, self.path + ".away"), "was removed")

    def test_log_removed(self):
        self.ends(lambda: shutil.rmtree(self.path + "/wal"), "was removed")

    def test_second_server_after_its_files_were_removed(self):
        with harness.Server(data_dir=self.path) as server:
            for name in os.listdir(self.path):
                if name == "LOCK":
                    os.remove(os.path.join(self.path, name))
            other_name = self.path + ".link"
            os.symlink(self.path, other_name)
            for path in (self.path, other_name):
                with self.assertRaisesRegex(AssertionError, "in use by another process"):
                    harness.Server(data_dir=path)
            self.assertEqual(server.ask("PUT", "/v1/stream/s")[0], 201)

    def test_older_meta(self):
        content = b""
        with harness.Server(data_dir=self.path) as server:
            server.ask("PUT", "/v1/stream/s")
            server.stop()
            meta = pathlib.Path(self.path, "META").read_bytes()
            for _ in range(4):
                server.start()
                self.assertEqual(server.append("/v1/stream/s", b"x" * 1000)[0], 204)
                content += b"x" * 1000
                server.kill()
            pathlib.Path(self.path, "META").write_bytes(meta)
            server.start()
            harness.wait_until(lambda: "an older META" in server.log_text())
            self.assertEqual(server.read_all("/v1/stream/s"), content)

    def test_crash_loop(self):
        self.crash_loop(1000)

    def test_crash_loop_with_more_than_a_first_segment_holds(self):
        self.crash_loop(3 << 20)

    def crash_loop(self, size):
        limit = 512 << 20
        with harness.Server("--core-count", "2", "--wal-bytes-max", "512MiB", "--body-bytes-max",
                            "8MiB", data_dir=self.path) as server:
            server.ask("PUT", "/v1/stream/s")
            for _ in range(30):
                self.assertEqual(server.append("/v1/stream/s", b"x" * size)[0], 204)
                server.kill()
                self.assertLessEqual(bytes_below(self.path + "/wal"), limit)
                server.start()
            self.assertEqual(server.read_all("/v1/stream/s"), b"x" * 30 * size)


def append(server, stream, content):
    """As a client that comes again where it is told to."""
    def appended():
        status, _, body = server.append(stream, content)
        if status not in (204, 503, 507) or (status == 503 and b"OVERLOADED" not in body):
            raise AssertionError("%d %s" % (status, body))
        return status == 204
    harness.wait_until(appended)


class VolumeTest(unittest.TestCase):
    def serve(self, path, small):
        with harness.Server(data_dir=path) as server:
            self.assertEqual(server.ask("PUT", "/v1/stream/s")[0], 201)
            if small:
                self.assertIn("one append at most", server.log_text())
                self.assertEqual(server.append("/v1/stream/s", b"x" * 10000000)[0], 413)
                self.assertEqual(server.ask("PUT", "/v1/stream/l", b"x" * 10000000)[0], 413)
            for _ in range(20):
                self.assertEqual(server.append("/v1/stream/s", b"x" * 100000)[0], 204)
            server.kill()
            server.start()
            self.assertEqual(server.read_all("/v1/stream/s"), b"x" * 2000000)
            for _ in range(20):  # More than fits, bit by bit.
                self.assertEqual(server.ask("PUT", "/v1/stream/t")[0], 201)
                for _ in range(8):
                    append(server, "/v1/stream/t", b"y" * 1000000)
                self.assertEqual(server.ask("DELETE", "/v1/stream/t")[0], 204)
            self.assertEqual(server.stop(), 0)

    def mounted(self, *arguments):
        missing = volume.unavailable(())
        if missing:
            self.skipTest("needs " + missing)
        folder = tempfile.TemporaryDirectory(prefix="ursula-")
        self.addCleanup(folder.cleanup)
        volume.run("mount", *arguments, folder.name)
        self.addCleanup(volume.run, "umount", folder.name)
        return os.path.join(folder.name, "data")

    def made(self, kind, size, *options):
        missing = volume.unavailable((kind,))
        if missing:
            self.skipTest("needs " + missing)
        image = tempfile.NamedTemporaryFile(prefix="ursula-")
        self.addCleanup(image.close)
        image.truncate(size)
        volume.run("mkfs." + kind, "-q", "-F", *options, image.name)
        return self.mounted("-o", "loop", image.name)

    def test_small_volume_in_memory(self):
        self.serve(self.mounted("-t", "tmpfs", "-o", "size=100m", "none"), small=True)

    def test_small_volume(self):
        self.serve(self.made("ext4", 100 << 20), small=True)

    def test_file_system_without_fallocate(self):
        # The driver of ext4 that mounts ext2 reserves nothing there either.
        self.serve(self.made("ext2", 600 << 20), small=False)

    def test_no_inode_is_left(self):
        path = self.made("ext4", 300 << 20, "-N", "64")
        with harness.Server("--core-count", "1", "--wal-bytes-max", "64MiB", "--hot-bytes-max", "4MiB",
                            "--body-bytes-max", "1MiB", data_dir=path, admin=True) as server:
            self.assertEqual(server.ask("PUT", "/v1/stream/s")[0], 201)
            admin = server.admin_port()
            taken = []
            with self.assertRaises(OSError):
                while True:
                    taken.append(pathlib.Path(os.path.dirname(path), "file-%d" % len(taken)))
                    taken[-1].touch(exist_ok=False)
            content = b""

            def refused():
                nonlocal content
                status, _, body = server.append("/v1/stream/s", b"x" * 100000)
                content += b"x" * 100000 if status == 204 else b""
                return status == 507
            harness.wait_until(refused)
            self.assertEqual(server.read_all("/v1/stream/s"), content)
            ready = lambda: server.ask("GET", "/readyz", port=admin)
            harness.wait_until(lambda: ready()[0] == 503)
            self.assertIn(b"STORAGE_FULL", ready()[2])
            for file in taken[:-1]:
                file.unlink()
            harness.wait_until(lambda: ready()[0] == 200)
            append(server, "/v1/stream/s", b"more")
            self.assertEqual(server.read_all("/v1/stream/s"), content + b"more")
            self.assertEqual(server.stop(), 0)

    def test_unmounted(self):
        path = self.mounted("-t", "tmpfs", "-o", "size=100m", "none")
        at = os.path.dirname(path)

        def unmount():
            volume.run("umount", "--lazy", at)
            volume.run("mount", "-t", "tmpfs", "none", at)
        ends(self, path, unmount, "its volume unmounted")


if __name__ == "__main__":
    harness.main()
