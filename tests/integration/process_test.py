#!/usr/bin/env python3
"""ursulad as a process: starting, refusing to, stopping, dying and coming back."""
import fcntl
import json
import http.client
import os
import signal
import socket
import subprocess
import tempfile
import threading
import unittest

import harness


def run(*flags, env=None):
    return subprocess.run([harness.ursulad_path, *flags], capture_output=True, text=True,
                          timeout=harness.PATIENCE_S, env=harness.environment(**(env or {})))


class Starting(unittest.TestCase):
    def test_help_and_version(self):
        self.assertIn("--data-dir DIR", run("--help").stdout)
        self.assertRegex(run("--version").stdout, r"^ursulad \d+\.\d+\.\d+\n$")

    def test_each_mistake_is_a_line(self):
        done = run("--core-count", "many", "--nonsense", env={"URSULA_LISTEN": "here"})
        self.assertEqual(done.returncode, 2)
        self.assertEqual(len(done.stderr.splitlines()), 3)

    def test_address_others_reach_needs_consent(self):
        done = run("--listen", "0.0.0.0:0", "--memory")
        self.assertEqual(done.returncode, 2)
        self.assertIn("--allow-unauthenticated", done.stderr)

    def test_port_in_use_is_named(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            done = run("--listen", "127.0.0.1:%d" % port, "--memory", "--admin-listen", "none")
            self.assertEqual(done.returncode, 1)
            self.assertIn("--listen 127.0.0.1:%d" % port, done.stderr)
            done = run("--listen", "127.0.0.1:0", "--memory",
                       "--admin-listen", "127.0.0.1:%d" % port)
            self.assertEqual(done.returncode, 1)
            self.assertIn("--admin-listen 127.0.0.1:%d" % port, done.stderr)

    def test_data_directory_in_use_is_named(self):
        with harness.Server() as server:
            done = run("--listen", "127.0.0.1:0", "--admin-listen", "none",
                       "--data-dir", server.data_dir)
            self.assertEqual(done.returncode, 1)
            self.assertIn(server.data_dir, done.stderr)

    def test_another_group_count_is_refused(self):
        with harness.Server("--raft-group-count", "4") as server:
            server.stop()
            done = run("--listen", "127.0.0.1:0", "--admin-listen", "none",
                       "--data-dir", server.data_dir, "--raft-group-count", "8")
            self.assertEqual(done.returncode, 1)
            server.start()

    def test_options_come_from_environment_and_file(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "ursula.toml")
            with open(path, "w") as file:
                file.write('memory = false\nlong_poll_timeout_ms = 1\n')
            with harness.Server("--config", path, "--memory") as server:
                harness.wait_until(lambda: "none: nothing is kept" in server.log_text())
                server.ask("PUT", "/v1/stream/s")
                self.assertEqual(
                    server.ask("GET", "/v1/stream/s?live=long-poll&offset=now")[0], 204)

    def test_location_names_the_port_that_the_kernel_chose(self):
        with harness.Server("--memory") as server, server.raw() as client:
            client.write("PUT /v1/stream/s HTTP/1.0\r\n\r\n")  # Without Host.
            self.assertIn("\r\nLocation: %s/v1/stream/s\r\n" % server.url,
                          client.read_to("\r\n\r\n"))

    def test_data_directory_is_private(self):
        with harness.Server() as server:
            self.assertEqual(os.stat(server.data_dir).st_mode & 0o777, 0o700)


class Admin(unittest.TestCase):
    def test_clock_step_is_asked_for_on_the_admin_port_and_by_no_page(self):
        with harness.Server(admin=True) as server:
            port = server.admin_port()
            status, _, body = server.ask("POST", "/clock/step", port=port)
            self.assertEqual(status, 200)
            self.assertIn(b"moved_ms", body)
            status, _, _ = server.ask("POST", "/clock/step", port=port,
                                      headers={"Origin": "http://example.org"})
            self.assertEqual(status, 403)
            self.assertNotEqual(server.ask("POST", "/clock/step")[0], 200)

    def test_health_readiness_and_metrics(self):
        with harness.Server(admin=True) as server:
            port = server.admin_port()
            self.assertEqual(server.ask("GET", "/healthz", port=port)[0], 200)
            self.assertEqual(server.ask("GET", "/readyz", port=port)[0], 200)
            server.ask("PUT", "/v1/stream/s")
            self.assertEqual(server.append("/v1/stream/s", "hello")[0], 204)
            harness.wait_until(lambda: server.metric("ursula_appends_total") == 1)
            status, headers, body = server.ask("GET", "/metrics", port=port)
            text = body.decode()
            self.assertEqual(status, 200)
            self.assertNotIn("Access-Control-Allow-Origin", headers)
            self.assertIn("ursula_append_seconds_count 1\n", text)
            for name in ("ursula_wal_sync_seconds_bucket", "ursula_sse_delivery_seconds_bucket",
                         "ursula_wal_bytes", "ursula_disk_bytes", "ursula_wal_padding_amplification",
                         "ursula_http_connections", "ursula_proposals_pending",
                         "process_cpu_seconds_total", "process_resident_memory_bytes",
                         'ursula_refused_total{reason="body_too_large"}'):
                self.assertIn(name, text)
            self.assertEqual(server.ask("GET", "/v1/stream/s", port=port)[0], 404)
            self.assertEqual(server.ask("POST", "/metrics", "x", port=port)[0], 405)


class Probes(unittest.TestCase):
    def test_idle_connections_keep_no_probe_out(self):
        with harness.Server(admin=True) as server:
            port = server.admin_port()
            idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(40)]
            for _ in range(40):
                connection = http.client.HTTPConnection("127.0.0.1", port,
                                                        timeout=harness.PATIENCE_S)
                connection.request("GET", "/healthz")
                self.assertEqual(connection.getresponse().status, 200)
                idle.append(connection.sock)
            for one in idle:
                one.close()


class Stopping(unittest.TestCase):
    def test_sigterm_ends_live_readers_kindly_and_exits_0(self):
        with harness.Server(admin=True) as server:
            server.ask("PUT", "/v1/stream/s")
            with server.raw() as live, server.raw() as poll, server.raw() as idle:
                live.write("GET /v1/stream/s?live=sse&offset=-1 HTTP/1.1\r\nHost: h\r\n\r\n")
                live.read_to("}\n")
                poll.write("GET /v1/stream/s?live=long-poll&offset=now HTTP/1.1\r\nHost: h\r\n\r\n")
                harness.wait_until(lambda: server.metric("ursula_http_requests_open") == 2)
                self.assertEqual(server.stop(), 0)
                rest = live.read_all()
                self.assertIn(b"event: control", rest)
                self.assertTrue(rest.endswith(b"0\r\n\r\n"))
                self.assertEqual(poll.read_response()[0], 204)
                self.assertEqual(idle.read_all(), b"")

    def test_appends_answered_before_sigterm_are_there_after(self):
        with harness.Server() as server:
            server.ask("PUT", "/v1/stream/s")
            for i in range(50):
                self.assertEqual(server.append("/v1/stream/s", "%02d" % i)[0], 204)
            self.assertEqual(server.stop(), 0)
            server.start()
            self.assertEqual(server.read_all("/v1/stream/s"),
                             b"".join(b"%02d" % i for i in range(50)))

    def test_half_a_request_does_not_hold_it_up_for_long(self):
        with harness.Server("--shutdown-timeout-ms", "200") as server:
            with server.raw() as half:
                half.write("GET /v1/st")
                server.ask("OPTIONS", "/v1/stream/s")
                self.assertEqual(server.stop(), 0)

    def test_second_signal_ends_it_at_once(self):
        with harness.Server("--shutdown-timeout-ms", "600000") as server:
            with server.raw() as half:
                half.write("OPTIONS /v1/stream/s HTTP/1.1\r\nHost: x\r\n\r\nGET /v1/st")
                half.read_response()  # So the server has read the half one too.
                server.process.send_signal(signal.SIGTERM)
                harness.wait_until(lambda: "stopping" in server.log_text())
                # The log line comes just before the handler stands; a signal before that waits.
                self.assertEqual(server.stop(), 128 + signal.SIGTERM)

    def test_a_stop_that_takes_too_long_ends_with_a_sentence(self):
        with harness.Server("--shutdown-timeout-ms", "600000") as server:
            with server.raw() as half:
                half.write("OPTIONS /v1/stream/s HTTP/1.1\r\nHost: x\r\n\r\nGET /v1/st")
                half.read_response()
                server.process.send_signal(signal.SIGTERM)
                timers = "/proc/%d/timers" % server.process.pid
                alarm = "signal: %d/" % signal.SIGALRM
                harness.wait_until(lambda: alarm in open(timers).read())
                # As the timer does in ten minutes and 45 s.
                self.assertEqual(server.stop(signal.SIGALRM), 1)
                self.assertIn("waited for too long for clients", server.log_text())

    def test_sigint_is_as_good(self):
        with harness.Server("--memory") as server:
            self.assertEqual(server.stop(signal.SIGINT), 0)

    def test_log_that_nobody_reads_does_not_hold_it_up(self):
        reading, writing = os.pipe()
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
        os.set_blocking(writing, False)
        with self.assertRaises(BlockingIOError):
            while True:
                os.write(writing, b"x")
        os.set_blocking(writing, True)
        with harness.Server("--memory", log=os.fdopen(writing, "w")) as server:
            self.assertEqual(server.stop(), 0)
        os.close(reading)

    def test_other_signals_are_logged_and_nothing_else(self):
        with harness.Server("--memory") as server:
            for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
                server.process.send_signal(number)
                harness.wait_until(lambda: number.name in server.log_text())
                self.assertEqual(server.ask("PUT", "/v1/stream/%s" % number.name)[0], 201)
            self.assertEqual(server.stop(), 0)


class Surroundings(unittest.TestCase):
    def free_port(self):
        with socket.create_server(("127.0.0.1", 0)) as free:
            return free.getsockname()[1]

    def test_standard_descriptors_that_are_closed_become_no_file(self):
        port = self.free_port()
        with tempfile.TemporaryDirectory() as folder:
            command = [harness.ursulad_path, "--listen", "127.0.0.1:%d" % port, "--admin-listen",
                       "none", "--data-dir", folder + "/data"]
            process = subprocess.Popen(command, env=harness.environment(),
                                       preexec_fn=lambda: os.closerange(0, 3))

            def serves():
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                    return True
                except OSError:
                    return False
            harness.wait_until(serves)
            for fd in range(3):
                self.assertEqual(os.readlink("/proc/%d/fd/%d" % (process.pid, fd)), "/dev/null")
            process.terminate()
            self.assertEqual(process.wait(harness.PATIENCE_S), 0)

    def test_of_two_that_start_on_one_port_one_serves(self):
        for round_number in range(100):
            port = self.free_port()
            hosts = ("127.0.0.1", "0.0.0.0" if round_number % 2 else "127.0.0.1")
            logs = [tempfile.TemporaryFile(mode="w+") for _ in hosts]
            processes = [subprocess.Popen(
                [harness.ursulad_path, "--listen", "%s:%d" % (host, port), "--memory",
                 "--allow-unauthenticated", "--admin-listen", "none", "--core-count", "2"],
                stdout=subprocess.PIPE, stderr=log, text=True, env=harness.environment())
                for host, log in zip(hosts, logs)]
            told = [process.stdout.readline() for process in processes]  # Or its end.
            if sum(line.startswith("listening") for line in told) != 1:
                for log in logs:
                    log.seek(0)
                self.fail("%s %s" % (told, [log.read() for log in logs]))
            for process in processes:
                process.terminate()
            self.assertEqual(sorted(process.wait(harness.PATIENCE_S) for process in processes),
                             [0, 1])
            for opened in [process.stdout for process in processes] + logs:
                opened.close()


class Killing(unittest.TestCase):
    """kill -9: what was acknowledged is there afterwards, once, in order."""

    def write_until_it_dies(self, server, stream, acknowledged):
        sequence = 0
        try:
            while True:
                status, _, _ = server.append(
                    "/v1/stream/%s" % stream, "%06d\n" % sequence, Producer_Id="p",
                    Producer_Epoch="0", Producer_Seq=str(sequence))
                if status != 200:
                    return
                acknowledged[stream] = sequence
                sequence += 1
        except (OSError, harness.http.client.HTTPException):
            return

    def test_acknowledged_appends_survive(self):
        for round_number in range(3):
            with self.subTest(round_number), harness.Server("--core-count", "2") as server:
                streams = ["s%d" % i for i in range(8)]
                for stream in streams:
                    server.ask("PUT", "/v1/stream/" + stream)
                acknowledged = {}
                writers = [threading.Thread(target=self.write_until_it_dies,
                                            args=(server, stream, acknowledged))
                           for stream in streams]
                for writer in writers:
                    writer.start()
                harness.wait_until(lambda: sum(acknowledged.values()) > 200)
                server.kill()
                for writer in writers:
                    writer.join()
                server.start("--core-count", str(1 + round_number))
                for stream in streams:
                    lines = server.read_all("/v1/stream/" + stream).decode().split()
                    self.assertEqual(lines, ["%06d" % i for i in range(len(lines))])
                    self.assertGreater(len(lines), acknowledged[stream])
                    # The one that was under way may or may not be there; a retry decides it.
                    status = server.append("/v1/stream/" + stream, "%06d\n" % len(lines),
                                           Producer_Id="p", Producer_Epoch="0",
                                           Producer_Seq=str(len(lines)))[0]
                    self.assertEqual(status, 200)

    def test_memory_mode_forgets(self):
        with harness.Server("--memory") as server:
            server.ask("PUT", "/v1/stream/s")
            server.kill()
            server.start()
            self.assertEqual(server.ask("GET", "/v1/stream/s")[0], 404)


if __name__ == "__main__":
    harness.main()
