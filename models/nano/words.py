"""Words that problems are made of: pools, and made-up ones; and how people write."""
NAMES = ("Alice Bob Carol David Emma Frank Grace Henry Iris Jack Karen Leo Maria Nina Oscar Paul Quinn Rosa Sam Tina "
         "Uma Victor Wendy Xavier Yara Zoe Adam Bella Clara Dylan Elena Felix Gina Hugo Ivan Julia Kevin Laura Max "
         "Nora Olga Peter Ruth Simon Tom Vera Walter Amir Chen Diego Fatima Hana Kofi Lin Mei Omar Priya Ravi Sofia "
         "Yuki").split()
CITIES = ("Paris London Berlin Madrid Rome Vienna Oslo Tokyo Beijing Shanghai Delhi Cairo Lima Boston Chicago Dallas "
          "Denver Sydney Toronto Dublin Lisbon Athens Prague Warsaw Helsinki Seoul Bangkok Hanoi Nairobi Lagos Moscow "
          "Kyoto Milan Geneva Zurich Havana Quito Bogota Riga Sofia").split()
THINGS = ("apples books coins pens cards marbles stamps cookies oranges pencils shells tickets stickers eggs bottles "
          "toys stones flowers candles keys").split()
TOPICS = ("gravity history music physics love poetry chemistry politics time space biology art football religion economics "
          "philosophy cooking geography evolution painting dancing energy electricity democracy language medicine law sleep "
          "happiness war peace money quantum computing internet photosynthesis relativity").split()
BOOKS = ("Hamlet Faust Ulysses Emma Dracula Frankenstein Beowulf Odyssey Iliad Macbeth Othello Walden Dune Matilda "
         "Candide").split()
COUNTRIES = ("France Germany Italy Spain Japan China India Brazil Canada Mexico Egypt Kenya Peru Chile Norway Sweden "
             "Finland Poland Greece Turkey Vietnam Thailand Russia Ireland Portugal Austria Cuba Nepal Iran Iraq").split()
ADJ = ("amber blue bright calm cold copper dark deep dry early fast golden gray green happy heavy hidden hot iron "
       "ivory jade kind large late light little lost loud lucky narrow new noble north old open pale proud quick quiet "
       "rapid red rough royal sharp silent silver small smart smooth soft solid south steel strong sunny swift tall "
       "warm white wild wise young").split()
NOUN = ("anchor apple arrow badge bear bell boat bridge brook camel candle castle cat cloud comet crane crow desert dog "
        "dragon drum eagle falcon farm field fish flame forest fox garden gate goat harbor hawk hill horse island "
        "jacket kettle kite lake lamp leaf lion maple market meadow mirror moon mountain mouse needle oak ocean otter "
        "owl palace panda pearl piano pine planet pond rabbit raven ring river road rocket rose sail sand ship shore "
        "snow spider star stone storm stream swan table temple tiger tower train tree tunnel valley violin wagon wave "
        "whale window winter wolf wood zebra").split()
# Words nobody has seen: built by rule, so that copying is the only way to write them.
_ON = "b br c ch cl d dr f fl g gr h j k kr l m n p pl qu r s sh sk st t th tr v w y z".split()
_VOW = "a a e e i i o o u ai ea oo y".split()
_COD = ["", "", "", "n", "r", "l", "s", "t", "m", "k", "x", "nd", "rt", "sh"]


def made(rng, lo=2, hi=3):
    return "".join(rng.choice(_ON) + rng.choice(_VOW) + rng.choice(_COD) for _ in range(rng.randint(lo, hi)))


def a_name(rng, open_share=0.45):
    return made(rng).capitalize() if rng.random() < open_share else rng.choice(NAMES)


def a_city(rng, open_share=0.45):
    x = rng.random()
    if x < open_share * 0.8:
        return made(rng).capitalize()
    if x < open_share:
        return rng.choice(["San", "New", "Port", "Saint", "East", "Lake"]) + " " + made(rng).capitalize()
    return rng.choice(CITIES)


def a_thing(rng):
    return made(rng) + "s" if rng.random() < 0.3 else rng.choice(THINGS)


def a_key(rng):
    x = rng.random()
    return (f"{rng.choice(ADJ)} {rng.choice(NOUN)}" if x < 0.25 else rng.choice(NOUN) if x < 0.4 else rng.choice(NAMES) if x < 0.5
            else made(rng) if x < 0.7 else f"{made(rng, 1, 2)}-{rng.randint(1, 99)}" if x < 0.8
            else f"{rng.choice(NOUN)}-{rng.randint(1, 99)}" if x < 0.9 else made(rng).capitalize())


FILLER = ("The sky was clear and the road was long. People walked by and said nothing about it. "
          "In the morning the market opens and the boats come in. Nothing of note happened on that day. "
          "The old house near the river has a green door. A train passed and the windows shook a little. "
          "Some notes follow here and can be ignored. The weather stayed mild for the whole week. "
          "He put the cup on the table and looked at the sea. The list goes on after this line. "
          "She closed the book and turned off the light. Rain fell on the roof for most of the night.").split(". ")
FILLER = [f.rstrip(".") + "." for f in FILLER]


def casual(rng, q, p=0.25):
    """People do not all write alike: greetings, lower case, no punctuation."""
    if rng.random() < p:
        k = rng.randrange(5)
        if k == 0:
            q = rng.choice(["Hi, ", "Hello, ", "Hello! ", "Hi! ", "Hey, ", "Hi nano, ", "Please tell me: "]) + q
        elif k == 1:
            q = q[0].lower() + q[1:]
        elif k == 2:
            q = q.rstrip("?.! ")
        elif k == 3:
            q = q[0].lower() + q[1:].rstrip("?.! ")
        else:
            q = q + rng.choice([" Thanks.", " Please.", " please", " Thank you!"])
    return q
