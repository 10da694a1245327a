"""Training by distillation, in turn: Petit's trainer and a plain PyTorch loop over Hugging Face's T5.

Both start from the same checkpoints and see the same batches of the same token ids. One system computes while the other
waits. tokens/s counts source and target tokens without padding. See README.md.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time


class Petit:
    """petit_distill_bench as a child: a line "STEPS" in, a line of JSON out."""

    name = "petit"

    def __init__(self, args):
        self.child = subprocess.Popen(
            [args.binary, "--teacher", args.teacher, "--student", args.student, "--texts", args.texts,
             "--precision", args.precision, "--threads", str(args.threads), "--batch", str(args.batch),
             "--batches", str(args.batches), "--dropout", str(args.dropout)] + ["--by-length"] * args.by_length,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, steps):
        self.child.stdin.write(f"{steps}\n")
        self.child.stdin.flush()
        line = self.child.stdout.readline()
        if not line:
            sys.exit("distill_bench.py: petit_distill_bench ended")
        return json.loads(line)

    def close(self):
        self.child.stdin.close()
        self.child.wait()


class HuggingFace:
    """The loop that a user would write."""

    name = "transformers"

    def __init__(self, args):
        import torch
        from transformers import T5ForConditionalGeneration

        torch.set_num_threads(args.threads)
        torch.manual_seed(0)
        self.torch = torch
        self.bf16 = args.precision == "bf16"
        kind = torch.bfloat16 if self.bf16 else torch.float32
        self.teacher = T5ForConditionalGeneration.from_pretrained(args.teacher, dtype=kind).eval()
        self.student = T5ForConditionalGeneration.from_pretrained(args.student, dtype=torch.float32)
        for part in self.student.modules():
            if isinstance(part, torch.nn.Dropout):
                part.p = args.dropout
            elif hasattr(part, "dropout") and isinstance(part.dropout, float):
                part.dropout = args.dropout  # of attention
        self.student.train()
        self.optimizer = torch.optim.AdamW(self.student.parameters(), lr=1e-5, weight_decay=0.01, fused=True)
        self.batches = [self.collate(json.loads(line)) for line in open(args.ids)]
        self.next = 0

    def collate(self, batch):
        """Pads as transformers' DataCollatorForSeq2Seq does: to the longest of the batch, labels by -100."""
        def pad(rows, by):
            longest = max(map(len, rows))
            return self.torch.tensor([row + [by] * (longest - len(row)) for row in rows])

        sources = pad(batch["sources"], 0)
        labels = pad(batch["targets"], -100)
        tokens = sum(map(len, batch["sources"])) + sum(map(len, batch["targets"]))
        mask = pad([[1] * len(row) for row in batch["sources"]], 0)
        return dict(input_ids=sources, attention_mask=mask, labels=labels), tokens

    def step(self, inputs):
        torch = self.torch
        alpha, temperature = 0.5, 2.0
        with torch.no_grad():
            taught = self.teacher(**inputs).logits
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            output = self.student(**inputs)
        present = inputs["labels"] != -100
        log_q = torch.log_softmax(output.logits[present].float() / temperature, -1)
        log_p = torch.log_softmax(taught[present].float() / temperature, -1)
        kl = torch.nn.functional.kl_div(log_q, log_p, reduction="batchmean", log_target=True)
        loss = alpha * temperature**2 * kl + (1 - alpha) * output.loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.student.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()

    def run(self, steps):
        def now():
            usage = resource.getrusage(resource.RUSAGE_SELF)
            return time.monotonic(), usage.ru_utime + usage.ru_stime

        tokens = 0
        wall, cpu = now()
        for _ in range(steps):
            inputs, count = self.batches[self.next % len(self.batches)]
            self.next += 1
            self.step(inputs)
            tokens += count
        end_wall, end_cpu = now()
        with open("/proc/self/statm") as file:
            pages = int(file.read().split()[1])
        return dict(tokens=tokens, wall=end_wall - wall, cpu=end_cpu - cpu, mib=pages * 4096 >> 20)

    def close(self):
        pass


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("binary", "teacher", "student", "texts", "ids"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--batches", type=int, default=24)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--by-length", action="store_true", help="batches of examples of like length, which pad little")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=6, help="steps of a round")
    args = parser.parse_args()

    subprocess.run([args.binary, "--student", args.student, "--texts", args.texts, "--batch", str(args.batch),
                    "--batches", str(args.batches), "--ids", args.ids] + ["--by-length"] * args.by_length, check=True)
    systems = [Petit(args), HuggingFace(args)]
    for system in systems:
        system.run(3)  # warming up: kernels are chosen and memory is taken
    results = {system.name: [] for system in systems}
    for _ in range(args.rounds):
        for system in systems:
            results[system.name].append(system.run(args.steps))
    for system in systems:
        system.close()

    def rates(name, clock):
        return [round_["tokens"] / round_[clock] for round_ in results[name]]

    print("| system | precision | threads | batch | tokens/s | min-max | tokens per CPU second | min-max | MiB |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name, rounds in results.items():
        cells = [name, args.precision, args.threads, args.batch]
        for clock in ("wall", "cpu"):
            rate = rates(name, clock)
            cells += [f"{statistics.median(rate):.0f}", f"{min(rate):.0f}-{max(rate):.0f}"]
        cells.append(max(round_["mib"] for round_ in rounds))
        print("|", " | ".join(map(str, cells)), "|")
    ratios = [statistics.median(rates("petit", clock)) / statistics.median(rates("transformers", clock))
              for clock in ("wall", "cpu")]
    print(f"\npetit / transformers: {ratios[0]:.2f} by the clock, {ratios[1]:.2f} by CPU time")


if __name__ == "__main__":
    main()
