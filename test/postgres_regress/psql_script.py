# SPDX-License-Identifier: Apache-2.0
"""Reads scripts written for psql: yields the statements, with variables put in, and the data of COPY FROM stdin.

Only what PostgreSQL's regression scripts need of psql: \\set, \\getenv, variables, \\g and its kin as ends of statements, and
\\; within one. Other meta-commands are dropped.
"""

import re

WORD = re.compile(r"[A-Za-z_\x80-\uffff][A-Za-z0-9_$\x80-\uffff]*")
DOLLAR = re.compile(r"\$(?:[A-Za-z_\x80-\uffff][A-Za-z0-9_\x80-\uffff]*)?\$")
VARIABLE = re.compile(r":(?:([A-Za-z0-9_]+)|'([A-Za-z0-9_]+)'|\"([A-Za-z0-9_]+)\")")
SENDS = ("g", "gx", "gset", "gexec", "gdesc", "crosstabview", "watch")


class Script:
    """An iterator over (statement, copy data or None)."""

    def __init__(self, text, environment):
        self.text = text
        self.at = 0
        self.environment = environment
        self.variables = {}
        self.statement = []

    def __iter__(self):
        return self

    def __next__(self):
        while True:
            statement = self.read_statement()
            if statement is None:
                raise StopIteration
            if not re.sub(r"--[^\n]*|\s|;", "", statement):
                continue
            data = self.read_data() if re.match(r"(?is)\s*(--[^\n]*\n\s*)*copy\b.*\bfrom\s+stdin\b", statement) else None
            return statement, data

    def take(self, length):
        self.statement.append(self.text[self.at:self.at + length])
        self.at += length

    def take_until(self, pattern, start):
        """Takes what a pattern ends, which is looked for from "start" on, or all that is left."""
        found = re.compile(pattern).search(self.text, start)
        self.take((found.end() if found else len(self.text)) - self.at)

    def take_comment(self):
        depth, at = 1, self.at + 2
        while depth and at < len(self.text):
            found = re.compile(r"/\*|\*/").search(self.text, at)
            if not found:
                at = len(self.text)
                break
            depth += 1 if found.group() == "/*" else -1
            at = found.end()
        self.take(at - self.at)

    def read_statement(self):
        """The next statement without its semicolon, or None at the end."""
        self.statement = []
        parentheses, atomic = 0, 0
        while self.at < len(self.text):
            c = self.text[self.at]
            rest = self.text[self.at:self.at + 2]
            word = WORD.match(self.text, self.at)
            if rest == "--":
                self.take_until(r"\n", self.at)
            elif rest == "/*":
                self.take_comment()
            elif word and self.text[word.end():word.end() + 1] == "'" and word.group().lower() == "e":
                self.take_until(r"(?s)(?:[^'\\]|\\.|'')*'", word.end() + 1)
            elif word:
                name = word.group().lower()
                if name == "atomic" and re.search(r"(?i)\bbegin\s+$", "".join(self.statement)):
                    atomic = 1
                elif atomic and name == "case":
                    atomic += 1
                elif atomic and name == "end":
                    atomic -= 1
                self.take(len(name))
            elif c == "'":
                self.take_until(r"'", self.at + 1)
            elif c == '"':
                self.take_until(r'"', self.at + 1)
            elif c == "$" and DOLLAR.match(self.text, self.at):
                tag = DOLLAR.match(self.text, self.at).group()
                self.take_until(re.escape(tag), self.at + len(tag))
            elif c == ":" and self.text[self.at - 1] != ":" and VARIABLE.match(self.text, self.at):
                self.put_variable(VARIABLE.match(self.text, self.at))
            elif c == "\\":
                if self.meta_command():
                    return "".join(self.statement)
            elif c == ";" and parentheses <= 0 and not atomic:
                self.at += 1
                return "".join(self.statement)
            else:
                parentheses += (c == "(") - (c == ")")
                self.take(1)
        text = "".join(self.statement)
        return text if text.strip() else None

    def put_variable(self, match):
        value = self.variables.get(match.group(1) or match.group(2) or match.group(3))
        if value is None:
            self.take(1)
            return
        quote = "'" if match.group(2) else '"' if match.group(3) else ""
        self.statement.append(quote + value + quote)
        self.at = match.end()

    def meta_command(self):
        """Takes a meta-command; returns whether it ends the statement."""
        if self.text.startswith("\\;", self.at):
            self.statement.append(";")
            self.at += 2
            return False
        line = re.compile(r"\\(\S+)([^\n\\]*)").match(self.text, self.at)
        if not line:
            self.at += 1
            return False
        self.at = line.end()
        name, words = line.group(1), line.group(2).split()
        if name == "getenv" and len(words) == 2:
            self.variables[words[0]] = self.environment.get(words[1], "")
        elif name == "set" and words:
            self.variables[words[0]] = "".join(self.expand(w) for w in words[1:])
        return name in SENDS and any(s.strip() for s in self.statement)

    def expand(self, word):
        if word.startswith("'"):
            return word.strip("'")
        return VARIABLE.sub(lambda m: self.variables.get(m.group(1) or m.group(2) or m.group(3), ""), word)

    def read_data(self):
        """The lines up to "\\." after a COPY FROM stdin."""
        start = self.text.find("\n", self.at) + 1
        found = re.compile(r"^\\\.\n", re.M).search(self.text, start)
        end = found.start() if found else len(self.text)
        self.at = found.end() if found else len(self.text)
        return self.text[start:end]
