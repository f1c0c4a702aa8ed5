"""python main.py --config=F --mode=M --workdir=D: Linnet's command line in a clone; see linnet/command.py."""

from linnet import command

if __name__ == "__main__":
    command.run()
