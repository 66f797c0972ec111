"""Time and peak memory of a config's training step.

    python tools/analysis_tools/train_cost.py configs/cma/cma_tiny_glyphmotion.py --steps 5

Prints one line of JSON. Memory is what the step takes beyond the weights.
"""
import argparse
import json
from statistics import median

from mmcma.cli.arguments import run_tool


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config')
    parser.add_argument('--steps', type=int, default=5, help='timed steps (default: 5)')
    parser.add_argument('--cfg-options', nargs='+', action='extend', default=[], metavar='KEY=VALUE')
    args = parser.parse_args()
    from mmcma.config import check_config, load_config, parse_options
    from mmcma.engine.step_cost import measure_steps
    cfg = load_config(args.config, parse_options(args.cfg_options))
    check_config(cfg)
    cost = measure_steps(cfg, steps=args.steps)
    print(json.dumps(dict(seconds=round(median(cost.seconds), 4), fastest=round(min(cost.seconds), 4),
                          peak_mib=round(cost.peak_bytes / 2**20, 1), trainable=cost.trainable)))


if __name__ == '__main__':
    run_tool(main)
