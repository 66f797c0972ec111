"""Prints a whole config, with what it inherits and what its loaders share.

    python tools/analysis_tools/print_config.py cma_tiny_glyphmotion --cfg-options model.neck.shared_dim=8
"""
import argparse

from mmcma.cli.arguments import add_config_options, checked_config, run_tool


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file, or the name of one')
    add_config_options(parser)
    print(checked_config(parser.parse_args()).pretty_text)


if __name__ == '__main__':
    run_tool(main)
