"""Astronomy for people without a telescope: objects of the northern sky. Distances are the usual textbook figures."""

from pipelines.sample.prose import Topic, sections, table

SUBJECTS = table(
    "name|it|where|season|look|distance|note",
    """
- the Pleiades|the cluster|the shoulder of Taurus|late autumn|a tight knot of pale blue stars|about 440 light years|Six stars
  are plain to most eyes, yet nearly every culture that named the group speaks of seven, and nobody has settled why.
- the Orion Nebula|the nebula|the sword of Orion|deep winter|a soft fan of grey light with four tiny stars at its heart|about
  1340 light years|The four stars in the middle are so young that the first people who drew pictures on cave walls may be older
  than some of their light.
- the Andromeda Galaxy|the galaxy|the side of Andromeda|early autumn|a long oval smudge that brightens towards the middle|about
  two and a half million light years|It is the most distant thing that can be seen without any glass at all, and the light that
  arrives tonight left before there were humans to see it.
- the Double Cluster|the pair|the space between Perseus and Cassiopeia|autumn|two handfuls of stars spilled side by side|about
  7500 light years|Ancient lists mention a cloud here, and it took the first small telescopes to show that the cloud was really
  two crowds of suns.
- the Beehive|the swarm|the dim middle of Cancer|early spring|a loose scatter of stars that fills the whole view|about 580 light
  years|Roman farmers used it to guess the weather, since it is the first thing to vanish when thin cloud moves in.
- the Ring Nebula|the ring|the small frame of Lyra|summer|a tiny ghostly smoke ring|about 2300 light years|The ring is the last
  breath of a star a little heavier than the Sun, thrown off a few thousand years ago.
- the Great Hercules Cluster|the globe|one edge of the keystone of Hercules|early summer|a round ball of light that turns to
  grains at its rim|about 22 thousand light years|In 1974 a short radio message was sent towards it, and the reply, should there
  be one, will take almost fifty thousand years.
- the Hyades|the group|the face of Taurus|late autumn|a wide letter V of yellow and white stars|about 150 light years|It is the
  nearest proper cluster, so near that it does not look like one until somebody points it out.
- Albireo|the pair|the beak of Cygnus|late summer|one golden star beside a blue one|about 430 light years|Whether the two stars
  really travel together or only stand in the same line is still argued over by careful people.
- Mizar and Alcor|the two stars|the bend in the handle of the Plough|spring|two white stars, one bright and one shy|about 83
  light years|Being able to split the two by eye is said to have been a test for soldiers, though most people pass it without
  trouble.
- the Whirlpool Galaxy|the spiral|the corner below the end of the Plough|late spring|two faint patches that almost touch|about
  27 million light years|It was the first cloud in which anyone saw a spiral, drawn by hand at an eyepiece as tall as a house.
- Saturn|the planet|a slow path along the zodiac|whichever months the almanac gives|a small cream disc inside a sharp bright
  ring|around 1400 million kilometres|People who see the ring for the first time often look down the front of the tube to check
  for a sticker.
- Jupiter|the planet|a steady path along the zodiac|whichever months the almanac gives|a flattened disc with two brown stripes
  and four attendants|around 750 million kilometres|The four bright moons change places from night to night, and Galileo filled
  pages with nothing but their positions.
- the crescent Moon|the crescent|the western sky after sunset|spring evenings|a thin bright bow with a grey disc resting in
  it|about 384 thousand kilometres|The grey light on the dark part is our own daylight, bounced off the sea and the clouds and
  back again.
- the Milky Way|the band|a great arch from Cassiopeia down to Sagittarius|August|a river of pale light with dark islands in
  it|thousands of light years in every direction|The dark islands are not holes at all but clouds of fine soot that stand in
  front of the stars behind.
- the Perseids|the shower|the northern corner of Perseus|the middle of August|quick white streaks, some of which leave a
  trail|no more than a hundred kilometres|Each streak is a grain no larger than a crumb, shed by a comet that will not be back
  until the next century.
- Betelgeuse|the star|the left shoulder of Orion|winter|a steady point of dull orange|something like 550 light years|A few
  winters ago it faded so much that even the newspapers noticed, and the cause proved to be a cloud of its own dust.
- Vega|the star|the top of Lyra|summer|a brilliant point of icy white|about 25 light years|It was the first star other than the
  Sun to be photographed, on a glass plate that needed a hundred seconds of light.
- the Lagoon Nebula|the lagoon|the sky above the spout of the Teapot|July|a long patch of mist with a small cluster caught in
  it|about 4100 light years|A dark lane splits the mist in two, and it was this lane that gave the whole cloud its name.
- Algol|the star|the hand of Perseus|autumn|an ordinary white star that dims for some hours|about 90 light years|Every two days
  and twenty one hours a darker companion passes in front of it, and anybody with a clock can follow the dip.
- Venus|the planet|the twilight on either side of the Sun|whichever months the almanac gives|a dazzling white lamp that shows a
  phase|between 40 and 260 million kilometres|It is bright enough to cast a shadow, though few gardens are dark enough now for
  anyone to notice.
- the Coma Star Cluster|the cluster|the gap between Leo and Bootes|late spring|a faint spray like dust blown from a table|about
  280 light years|A queen is said to have cut off her hair for a safe return, and the court astronomer found it again among the
  stars.
- the Wild Duck Cluster|the flock|the tail of the Eagle|late summer|a dense wedge of very faint stars|about 6200 light
  years|Someone with a good imagination saw a flight of ducks in it, and the name has outlived every attempt at a better one.
- the Dumbbell Nebula|the cloud|the small constellation of the Fox|late summer|a grey apple with a bite on either side|about
  1300 light years|It was the first object of its kind to be written down, by a man who was looking for comets and found it a
  nuisance.
""",
)

_OPENING, *_SECTIONS, _CLOSING = sections(
    """
= Opening
- [On the first clear evening|When the clouds broke at last|After a week of rain], {person} carried [a folding chair|an old
  blanket|a flask of tea] to the top field and [looked for|went in search of|waited for] {name}.
- There are [grander|brighter|more famous] sights in the sky, but [few|not many] of them [repay|reward] a patient beginner as
  [kindly|surely|generously] as {name}.
- [Readers|Several readers|Two readers from {town}] have [asked us|written to ask] what they should [look at|try] in {season},
  and our answer [is always|has long been] {name}.
- [You do not need|Nobody needs] a dome, a mountain or a large purse to enjoy {name}; [a dark corner and half an hour|an open
  window and some patience|a quiet lane and a clear night] will do.
- {person} has [kept a notebook|written down every clear night] since {year}, and the page that is [most worn|read most often]
  is the one about {name}.
= Where to look | Finding the way | How to find it | The way there
- [Begin|Start] with {where}, which [stands high|is well placed] in {season}, and [let your eyes rest there|keep looking] for a
  minute before you [decide|conclude] that there is nothing.
- The [surest|simplest|easiest] way is to [learn|remember] one bright star near {where} and to [hop|step] from it in
  [short|small] moves, as one [crosses a stream on stones|reads a street map].
- [If you can|Should you be able to] see {where}, you are [already|nearly] there, since {it} [lies|sits] less than [a fist|two
  fingers|a hand] away when you [hold|stretch] your arm out.
- [A chart|A star map] helps, but it should be [turned|held] so that the [horizon|edge] at the bottom is the one you [face|are
  looking at], or everything will [seem|be] upside down.
- In {season} [it is high|it climbs well clear of the roofs] by [ten|nine|eleven] o'clock, and that is [the time|the hour] to
  try, because the air [near the ground|low down] [spoils|softens] everything.
- [Let|Allow] your eyes [twenty minutes|a quarter of an hour] in the dark first, and [hide|put away] the telephone, for one
  glance at a white screen will [undo|waste] all of it.
- [Those who live in a town|People in towns] should [choose|pick] a night without a moon and [stand|sit] where no lamp
  [shines|falls] straight into the face.
- [Looking a little to one side|A glance slightly past it] makes {it} [brighter|easier], because the [edge|rim] of the eye is
  better in the dark than its middle.
- [We have|{surname} has] found it from [the middle of {town}|a balcony above a tram stop|a car park], so [do not be put off
  by|never mind] what the books say about dark skies.
= What the eye can see | At the eyepiece | What it looks like | A first look
- [Without any help|To the naked eye] there is [little more than a hint|not much], but in [a pair of binoculars|ordinary
  binoculars] it [becomes|turns into] {look}.
- [Most people|Many beginners] expect colour, and are [a little|at first] disappointed; [what they get|the reward] is
  [shape and silence|depth and stillness], which is [better|stranger] the longer you [stay|watch].
- [Keep the power low|Use the lowest power you have], because {it} [wants|needs] space around it, and a [narrow|tight] view
  [shows|gives] only a part of the whole.
  - {person} [describes|once described] it as [breath on a cold window|a thumbprint on glass], and [after many nights|having
  looked again] we [cannot do better|have no
  quarrel with that].
- [With a small telescope|In a telescope of the size that fits under a bed] the [view|sight] [opens out|changes], and you
  [begin|start] to see that some parts are [brighter|thicker] than others.
- [Steady|Rest] the glasses on a [fence|wall|gate]; [trembling hands|shaking arms] hide more than [bad lenses|cheap glass] do,
  and [it costs|that costs] nothing to cure.
- [The longer|The more] you look, the more there is, [and this is not a trick|which is not just a saying]: the eye [adds
  up|gathers] faint light if it is [given|allowed] the time.
- On [a night of steady air|the best nights] there are moments, [no longer than a breath|a second or two long], when
  [everything|the whole view] is [suddenly|all at once] as sharp as an engraving.
- [Do not be surprised|It is no wonder] if a friend at the same eyepiece sees [less|more] than you do, since [practice|age]
  matters as much here as [the lens|the glass] does.
= How far and how large | What it really is | The distance | Behind the light
- The [light|glow] that you [catch|see] has [travelled|come] {distance}, and [nothing on the way|nothing between there and here]
  was [large|thick] enough to stop it.
- [At|With] a distance of {distance}, it is [hard|difficult] to [picture|grasp], so we [like to|usually] shrink things until the
  Sun is [a grain of sand|a pea] and then [count|walk] from there.
- [How do we know|How does anyone know] that? [In steps|By a ladder], as always: a near thing is [measured|surveyed] from the
  two ends of our orbit, and [farther ones|the rest] are [compared|matched] with it.
- [The figure|The number] in older books is [different|smaller], which is [not a scandal|no scandal]; [better|finer] instruments
  have [moved|shifted] it [again and again|several times] since {year}.
- [Almost all|Most] of what we know comes from [splitting|spreading] the light into its colours, where [dark|narrow] lines
  [tell|show] what it is made of and [how fast|which way] it moves.
- If you could [travel|fly] there, {it} would [not|never] look as it does in photographs, because those [add up|collect] the
  light of [several hours|a whole night].
- [It was not always there|It will not last for ever], and in [a few|some] million years [people|whoever looks up then] will
  [have to|need to] draw [their|the] maps again.
- [It is easy|One is tempted] to call it small, because a [thumb|coin] held up [covers|hides] it, but [that is only|this is
  just] what distance [does|will do] to things.
= Keeping a record | Drawing and notes | A page for the notebook | What to write down
- [A pencil|A soft pencil] and a [circle|ring] drawn round a [cup|glass] are [all you need|enough] to make a [sketch|drawing]
  that you will [still|one day] be glad of.
- [Write down|Note] the [date|day], the hour and [the state of the sky|how clear it was], for [a drawing without a date|an
  undated page] is [worth|good for] very little [later on|a year later].
- {person} [draws|puts in] the brightest [points|stars] first, [as a frame|like the corners of a window], and [fills in|adds]
  the rest from [memory|there] only when [sure|certain] of it.
- [We have plotted|The chart on this page shows] how many [clear nights|good evenings] there were in {town}, and [the shape of
  it|the pattern] will [surprise|comfort] nobody who lives there.
- [A photograph is possible|You may try a photograph], and [even|already] a telephone held to the eyepiece will [show
  something|do], but it is [seldom|rarely] what one [saw|remembers].
- [Over the years|After a few winters] the notes [begin to|will] say more about [your own eyes|yourself] than about {it}, [and
  there is no harm in that|which is part of the pleasure].
- [Compare|Lay] this [winter|year] with the last, and you may [find|notice] that what was [hard|a struggle] then is [easy|plain]
  now, [although|even though] the sky has not changed at all.
- [Some of us|The members of the club in {town}] [meet|get together] on the [first|last] Friday of the month, and [bring|pass
  round] our drawings, [good and bad|the bad ones too].
= Closing
- [Whatever|No matter what] you [use|look through], go [out|outside] and look, and [tell us|write to us about] what you
  [found|saw], since [the sky is|nights like these are] [free|better shared].
- [Next month|In the next issue] we shall turn to [something|an object] [nearer|lower] in the south; until then, [may your
  nights be|we wish you] [clear|dark] skies.
- [The chair|The blanket] is still [out there|in the field], a little [damp|wet], and {person} [says|insists] that tonight will
  be [clearer|better] than the forecast [claims|thinks].
"""
)

TOPIC = Topic(
    name="astronomy",
    host="skywatch.example",
    site="Skywatch Notebook",
    motto="The night sky from back gardens and balconies",
    titles=(
        "An evening with {name}",
        "Looking for {name}",
        "{name}, seen from a back garden",
        "A beginner's night with {name}",
    ),
    subjects=SUBJECTS,
    opening=_OPENING,
    sections=tuple(_SECTIONS),
    closing=_CLOSING,
    kinds=("night", "ring", "night", "bar", "line", "cutaway", "night", "pie"),
    shows={
        "bar": ("clear nights by month", "meteors by hour", "members by year"),
        "line": ("brightness by night", "moonlight by week", "sky darkness by hour"),
        "pie": ("nights by weather", "visitors by age"),
        "ring": ("orbits around a star", "layers of a star", "zones of the night sky"),
        "cutaway": ("a small telescope", "a pair of lenses"),
    },
)
