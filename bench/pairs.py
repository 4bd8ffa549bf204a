# SPDX-License-Identifier: Apache-2.0
"""Measuring programs against each other on a machine that others use, too: in turns, with medians of the times and with the
CPU time that each process needed, which hardly depends on what else runs."""

import os
import statistics
import subprocess
import time


def cpu_seconds(pid):
    """CPU time of all threads of a process, in steps of 1/SC_CLK_TCK seconds."""
    with open("/proc/%d/stat" % pid) as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Process:
    """A program that answers statements."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.pid = self.process.pid

    def send(self, text):
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def close(self):
        self.process.stdin.close()
        self.process.wait(30)


class Tool(Process):
    """ivy_lake_tool: one line of SQL, one line of answer."""

    def run(self, sql):
        self.send(sql)
        answer = self.process.stdout.readline()
        assert answer.startswith("ok"), answer


class DuckDb(Process):
    """The duckdb command line, with as many threads as the engine and, as there, no order but that of ORDER BY."""

    def __init__(self, threads):
        super().__init__(["duckdb", "-noheader", "-list"])
        self.run("SET threads = %d" % threads)
        self.run("SET preserve_insertion_order = false")

    def run(self, sql):
        self.send(sql + ";\nSELECT 'done';")
        while "done" not in self.process.stdout.readline():
            pass


def in_turns(label, runs, pid, action, others):
    """Runs "action", whose work is done by process "pid", and then each of "others" (name, pid, action), "runs" times, and
    prints how the others compare with it. One run of each, not counted, comes first."""
    all_runs = [("", pid, action)] + others
    times, cpu = [[] for _ in all_runs], [0.0] * len(all_runs)
    for turn in range(runs + 1):
        for i, (_, process, run) in enumerate(all_runs):
            start_cpu, start = cpu_seconds(process), time.perf_counter()
            run()
            seconds = time.perf_counter() - start
            if turn:
                times[i].append(seconds)
                cpu[i] += cpu_seconds(process) - start_cpu
    medians = [statistics.median(seconds) for seconds in times]
    parts = ["%s%.1f ms, %.2fx, CPU %.2fx" % (name + " " if name else "", medians[i] * 1e3, medians[i] / medians[0], cpu[i] / max(cpu[0], 0.001))
             for i, (name, _, _) in enumerate(all_runs) if i > 0]
    print("%s %s; duckdb %.1f ms; load %.1f" % (label, "; ".join(parts), medians[0] * 1e3, os.getloadavg()[0]), flush=True)
