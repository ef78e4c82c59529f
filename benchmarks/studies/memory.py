"""What memory size each function is best given: its start, time, cost and memory at each. Wants root.

The idea is AWS Lambda Power Tuning's, on this machine: each built function (`make build`) runs with the CPU that Lambda
gives to a memory size. Nothing can be shown beyond the cores of this machine.
"""

import argparse
from collections.abc import Iterator, Sequence

from benchmarks import quick_stores
from benchmarks.studies import bills, instances, options
from benchmarks.studies.instances import Measured, Work, default, measurable, measure, waits_ms

SIZES = (256, 512, 1024, 1769, 3538, 5307, 7076)
MOST_SHARE = 0.75
"""Of its memory size that a function may hold: the runtime's other processes, and larger inputs, need some too."""


def table(work: Work, sizes: Sequence[int], prices: bills.Prices, stores: quick_stores.Stores) -> Iterator[str]:
    """Lines of Markdown, each as soon as it is measured."""
    yield f"**{work.title}** ({work.function}, {work.memory} is {default(work.memory)})\n"
    yield "| MB | vCPU | INIT ms | first event ms | later p50 ms | mean ms | CPU ms | dollars | peak MB |"
    yield "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    peak = 0.0
    # The largest first, which is sure to have memory enough, and says who else has.
    for size in sorted(sizes, reverse=True):
        if not measurable(size):
            yield f"| {size} | {size / bills.VCPU_MB:.2f} | more cores than there are here | | | | | | |"
        elif peak > MOST_SHARE * size:
            yield f"| {size} | {size / bills.VCPU_MB:.2f} | too little memory | | | | | | |"
        else:
            found = measure(work, size, stores, limit=True)
            peak = max(peak, found.peak_mb)
            yield (
                f"| {size} | {size / bills.VCPU_MB:.2f} | {found.init_ms:.0f} | {found.first_ms:.0f} "
                f"| {found.p50_ms:.1f} | {found.mean_ms:.1f} | {found.cpu_ms:.1f} | {dollars(work, found, prices):.2f} "
                f"| {found.peak_mb:.0f} |"
            )
    yield ""


def dollars(work: Work, found: Measured, prices: bills.Prices) -> float:
    """Lambda's price of a million events, starts included."""
    storage = default(work.storage) if work.storage else bills.FREE_STORAGE_MB
    waits = waits_ms(found.counts, prices.assumptions)
    warm = bills.invocation(found.own_ms + waits, found.memory_mb, storage_mb=storage)
    start = found.init_ms + found.first_ms - found.own_ms + waits_ms(found.first_counts, prices.assumptions) - waits
    cold = bills.gigabyte_seconds(max(0.0, start), found.memory_mb) * prices.dollars["lambda.gb_second.x86_64"]
    return 1e6 * (bills.total(warm, prices.dollars) + prices.assumptions["cold_share"] * cold)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    instances.add_arguments(parser)
    sizes = " ".join(map(str, SIZES))
    parser.add_argument(
        "--sizes", nargs="+", type=options.positive, default=SIZES, metavar="MB", help=f"default: {sizes}"
    )


def run(chosen: argparse.Namespace) -> int:
    prices = bills.read_prices()
    with quick_stores.serving(chosen.customers) as stores:
        for work in instances.works(chosen.customers, chosen.repeats):
            if work.name in chosen.only:
                for line in table(work, chosen.sizes, prices, stores):
                    print(line, flush=True)
    assumed = prices.assumptions
    print(
        "INIT and the first event are a cold start. Others have measured that Lambda gives INIT more CPU than a small "
        "memory size brings, so it is quicker there than here.\n"
        "Later events come one straight after the other: a fraction of a vCPU is felt in their mean, and less where "
        "they come singly.\n"
        "dollars are Lambda's alone, without SnapStart, for a million events, each request to DynamoDB with "
        f"{assumed['dynamodb_ms']:g} ms and to S3 with {assumed['s3_ms']:g}, and a start in "
        f"{1 / assumed['cold_share']:.0f} of them; prices of {prices.region}, gathered on {prices.date}."
    )
    return 0
