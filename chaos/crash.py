"""E1, a crash at a named point: ``python -m chaos.crash --database sqlite --seed 1``.

One call passes some sixty points: before, within and after each commit and each I/O. For each upstream answer
a worker is killed at each of them, others finish what it left behind, and the judge must find nothing. Seeds
add chains: whoever takes the job up is killed too, at a random point, up to three times. With ``--freeze``
workers don't die: they freeze, others take their jobs, and then they go on.

The control stores a result after it is booked instead of before; the judge must find that.
"""

import sys

from chaos import stage
from chaos.crash_answers import ANSWERS


def main() -> int:
    parser = stage.parser("chaos.crash", "Kills a worker at each commit and each I/O of a call.")
    parser.add_argument("--answers", nargs="+", choices=ANSWERS, default=list(ANSWERS), metavar="ANSWER")
    parser.add_argument("--chains", type=int, default=6, help="for each answer, by the seed")
    parser.add_argument("--every", type=int, default=1, help="each n-th point, others with each seed")
    parser.add_argument("--freeze", action="store_true", help="freeze workers instead, and let them go on")
    options = parser.parse_args()
    with stage.built(options) as here:
        return int(here.scene("chaos.crash_run").run(here, options))


if __name__ == "__main__":
    sys.exit(main())
