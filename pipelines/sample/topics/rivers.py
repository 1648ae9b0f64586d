"""Rivers and weather of an invented county: its rivers, their gauges, and the people who read them."""

from pipelines.sample.prose import Topic, sections, table

SUBJECTS = table(
    "name|source|length|mouth|bridge|wet|note",
    """
- the Arle|a spring under Harrow Fell|62 kilometres|the salt marsh at Wickmouth|the old toll bridge|November|The spring has
  never failed, and in the dry year of the great fire it was the only running water between the fell and the sea.
- the Little Wend|two boggy fields near Cold Ash|19 kilometres|the mill pond at Tessing|the stepping stones|January|It has no
  valley to speak of, and farmers plough so close to it that the water runs brown for a day after every shower.
- the Tamber|the moor above Stonegate|104 kilometres|the harbour of Eastry|the five arches|December|A bell hung under the third
  arch used to ring by itself when the water reached the mark of the flood of 1771.
- the Osk|a tarn with no name|47 kilometres|the Tamber, below Lowick|the iron footbridge|February|Salmon came back after the
  last of the tanneries closed, and nobody had told the boys who saw the first one what it was.
- the Fallow Brook|a culvert behind the brick works|8 kilometres|the canal basin|the school bridge|October|For sixty years it
  ran in a pipe, and the town forgot that it had a river until the road above it sank.
- the Ebble Water|chalk downs south of Marre|33 kilometres|the Arle, at Twofords|the clapper bridge|March|It rises when other
  streams fall, since the chalk lets the winter rain go only after three months of thought.
- the Great Sarn|snow fields on the border|176 kilometres|the bay of Corran|the railway viaduct|May|Its flood comes with the
  thaw and not with the rain, so the people downstream watch the thermometer and not the clouds.
- the Hythe|the woods of Upper Penn|28 kilometres|the reservoir at Dunmere|the concrete weir|December|Half of a village stands
  at the bottom of the reservoir, and in dry summers the top of the pump can be seen again.
- the Loddow|a cattle pond at Brink|41 kilometres|the Great Sarn|the lift bridge|January|It is the straightest river in the
  county, because the monks who dug it had no patience with bends.
- the Mirrin|a glacier long since gone|88 kilometres|the lake of Tarrow|the swing bridge|June|The stones in its bed came from
  mountains that are no longer there, and geologists take them home in their coats.
- the Nar Beck|peat hags on Black Top|15 kilometres|the Osk, at the forge|the packhorse bridge|November|The water is the colour
  of strong tea, and the inn beside it claims that this is what makes the beer.
- the Pell|a ditch by the bus depot|12 kilometres|the docks|the subway|September|A heron has fished beside the car wash for
  eight winters, to the great pride of the people who work there.
- the Quarn|a limestone cave at Ravel|56 kilometres|the estuary at Sandal|the pilgrims' bridge|February|It sinks into the ground
  twice, and dye poured in at the upper hole comes out after nine days, pale but unmistakable.
- the Rother Dyke|the fen at Ely Corner|24 kilometres|the pumping station|the sluice|January|The dyke lies higher than the
  fields around it, so that the boats seem to sail above the cabbages.
- the Stenn|a hillside spring at Vale Head|71 kilometres|the Tamber, at the gasworks|the chain bridge|December|Skaters raced on
  it for eleven winters in the last century, and the cups stand in the window of the bank.
- the Thrup|rushes near Long Acre|22 kilometres|the Stenn|the ford|March|The ford is deeper than it seems, as the delivery
  drivers of three counties have found out in turn.
- the Umber|an upland mire|95 kilometres|the sands of Hollin|the suspension bridge|November|Its mouth moves a little each year,
  and the harbour that was built for it is now a field with a very long wall.
- the Vell|the north side of Carn Hill|38 kilometres|the Umber|the timber bridge|October|Beavers were let out here without
  anyone asking, and the floods in the village below have been smaller since.
- the West Yarrow|a tunnel that drains old mines|30 kilometres|the Mirrin|the aqueduct|April|The stones are orange for the first
  mile, and no fish lives there, yet the lower part is the best trout water of all.
- the Cray|springs in a churchyard|17 kilometres|the Arle|the causeway|February|The parish records tell of a sexton who kept
  watercress between the graves and sold it at the gate.
- the Dunnow|a saddle between two hills|64 kilometres|the sea at Gull Head|the cattle bridge|December|On still mornings the fog
  fills the valley to the brim, and the church tower stands out of it like a post.
- the Inch Burn|a lochan on the moor|11 kilometres|the bay|the plank|August|It is so steep that it can be heard from the road,
  and so short that a flood is over before the warning is sent.
- the Kell|farm drains at Overton|26 kilometres|the Loddow|the motorway bridge|January|Almost nobody has seen all of it, since
  it spends a third of its length beneath roads, barns and one bowling green.
- the Wash Brook|a spring line below the quarry|14 kilometres|the Great Sarn|the mill bridge|November|Seven mills once stood on
  it, each using the water that the last had finished with, and quarrels over it went to court for a century.
""",
)

_OPENING, *_SECTIONS, _CLOSING = sections(
    """
= Opening
- [It rained|Rain fell] for [nine|eleven|six] days in {wet}, and on the [last|tenth] of them {person} [walked|went down] to
  {bridge} to see what {name} [was doing|had to say].
- {name} is [not|hardly] a [famous|great] river, and [most|many] of the people who [cross|drive over] it [each day|every
  morning] could not [tell you|say] its name.
- [There are|We keep] {number} years of readings for {name} in [a tin box|three green ledgers], and [this spring|last month] we
  [typed|copied] them all out for the first time.
- Ask anyone in {town} about {name} and they will [show|point out] the mark on their wall, [with|and give you] the
  year [and the hour|in which it was made].
- [From|Between] {source} to {mouth} it is {length} by water, and [two of us|{person} and a friend] have now [walked|followed]
  every [bend|metre] of it.
= From source to mouth | The course | Following the water | Where it runs
- It [begins|starts] at {source}, [where|and there] a [boot|hat] could [stop|dam] it, and [ends|comes to rest] {length} later at
  {mouth}, [which is|where it is] [wide|broad] enough for ships.
- The [upper|first] part is [quick|noisy] and [cold|clear], with [alders|birches] on both banks and [no|hardly a] house [for an
  hour|in sight].
- [Below|After] {bridge} the valley [opens|widens], the [water|current] slows down, and [it|the stream] [starts|begins] to
  [swing|wander] from side to side as if it had [all day|nowhere to be].
- [Three|Four|Two] smaller streams [join|come in] from the [left|right], and after each of them the [colour|sound] of the water
  [is|becomes] [a little|slightly] different.
- [The map|Our map] shows [an island|the islands] that [was not|were not] there in {year}; [floods|high water] [made|built]
  [it|them] from what [was|had been] a field [upstream|farther up].
- [Past|Beyond] {town} there are [locks|weirs], and the river is [kept|held] in [by|between] walls, [although|though] it has
  [never quite|not always] [agreed|accepted this].
- [At the end|In its last miles] the tide [comes up|pushes in] twice a day, and [you|one] can [see|watch] the weed [turn|point]
  first one way and then the other.
- [It used|The river used] to [reach|meet] the sea [elsewhere|farther north], and a line of [willows|wet meadows] still
  [shows|marks] where the old bed [lay|went].
= Reading the gauge | How the water is measured | Numbers and ledgers | The gauge
- [The gauge|Our gauge] is a [white|striped] board [fixed|screwed] to {bridge}, and it is [read|looked at] at nine [each
  morning|every day] by whoever [lives|happens to live] nearest.
- [A level|The level] by itself [says|tells you] little, so [once a month|four times a year] somebody [wades|goes] in with a
  [meter|small propeller] to [find|learn] how fast the water is [going|moving].
- [On an ordinary day|In a normal week] [about|some] [four|six|nine] cubic metres [pass|go by] each second, and in {wet} it may
  be [ten|twenty|thirty] times as much.
- [The line|The curve] in the plot [climbs|rises] in a [few|couple of] hours and [falls|sinks] over a week, which is the
  [shape|signature] of [almost|nearly] every flood we [have seen|know].
- {person} has [missed|skipped] only [two|three|five] readings since {year}, and [one of them|the last of these] was for [a
  wedding|the birth of a daughter].
- [There is|We have] a [sensor|radar] now which [sends|gives] a number every [fifteen|ten] minutes, but [the board stays|we keep
  the board], because [it|a board] [never|does not] [needs|need] a battery.
- [Old readings|Readings from before the war] are in [feet|inches], [some|a few] of them in [verse|red ink], and [one|one page]
  has been [eaten|nibbled] by mice at the [very|exact] point that [mattered|we needed].
- [What counts|What matters] is [not|less] how high it [was|stood] but how [fast|quickly] it [rose|came up], since [an hour|half
  an hour] is the difference between [moving|saving] the [piano|herd] and losing it.
= Rain, snow and drought | The weather behind it | What the sky does | Seasons
- [Most|The greater part] of the rain [arrives|comes] from the [west|south west], is [lifted|pushed up] by the hills near
  {source}, and [falls|is spent] before it [gets|comes] to {town}.
- {wet} is the [wettest|heaviest] month by [some|a clear] distance, [although|even if] the [memory|talk] of people is [full|all]
  of [summer storms|thunder].
- [A dry|The dry] spring does more [harm|damage] than a dry [August|summer], because the [ground|soil] has [nothing|little] put
  by when the [heat|warm weather] comes.
- [Snow|Lying snow] is water that [waits|has been put off], and a warm [wind|night] can [call|bring] it all down [together|at
  once].
- In {year} [the bed|the river] was dry [above|as far as] {bridge} for [five|six|seven] weeks, and [children|people]
  [found|picked up] coins, [bicycles|prams] and [a church key|the handle of a sword].
- [Frost|A hard frost] [stops|slows] the small streams first, and on such mornings the gauge [falls|drops] for no [reason|cause]
  that a [stranger|visitor] could [see|guess].
- [The forecast|A forecast] gives the rain for a whole [county|region], but [one|a single] valley can [drown|flood] while [the
  next|its neighbour] is [dusty|dry], and that is why [we|so many of us] [keep|run] a bucket of our own.
- [Is it|Is the weather] getting wetter? The [ledgers|figures] say that the [total|sum] has [hardly|barely] changed, but that it
  [falls|comes] on [fewer|less] days, and [harder|with more force].
= Living beside it | People and floods | The town and the river | On the banks
- [Houses|The houses] near {bridge} have [stone|tiled] floors and [plugs|sockets] at the height of [the shoulder|a tall child],
  [and|for] their owners [know|have learned] why.
- [After the flood|When the water went down] of {year} there was [talk|a plan] of a wall, [then|and then] of a [basin|meadow]
  that could be [filled|given up], and [after|following] some years of [meetings|letters] the meadow [won|was chosen].
- [Otters|Kingfishers|Swans] are [seen|met] [often|again] [near|below] the [outfall|allotments], which [no one|nobody] would
  have [believed|said] when the [works|dye house] [was|were] still [there|open].
- {person} [keeps|runs] a small boat, [rents|lends] it to [visitors|anyone who asks] in {month}, and [fetches|tows] back the
  ones who [trusted|believed in] the current.
- [Everyone|Each household] downstream is on a [list|chain of telephone calls], so that the [first|top] village [wakes|rings]
  the second, and the [last|lowest] has [about|nearly] [four|five|three] hours.
- [There is|You will find] a path on the [north|east] bank from {town} to {mouth}, [muddy|slow] in places, [with|and there is] a
  bench [wherever|at each spot where] the view [deserves|earns] it.
- [Anglers|The anglers] and [swimmers|canoeists] do not [always|quite] agree about {name}, but [both|the two] [turned|came] out
  together when the [lorry|tanker] [tipped|spilled] its [load|milk].
- [A river|Any river] is [a neighbour|like a neighbour]: [mostly|for the most part] quiet, [sometimes|now and then] in your
  kitchen, and [not|never] to be [blamed|judged] by its worst day.
= Closing
- [The readings|All the readings] are [free|open] to anyone who [asks|wants them], and [a new pair of eyes|another reader for
  the gauge] would be [most|very] welcome, above all in {wet}.
- [By the time|When] you read this the board at {bridge} will have been [read|looked at] again, and {name} will be [a
  little|somewhat] higher or lower than it [was|is] today.
- [Tonight|This evening] there is more rain [on the way|to come], {person} has [put|set] the alarm for [four|five], and the
  [sandbags|boots] are by the door.
"""
)

TOPIC = Topic(
    name="rivers",
    host="riverlog.example",
    site="River Log",
    motto="Levels, rain and gossip from {number} bridges",
    titles=("{name}, from {source} to the end", "High water on {name}", "A walk along {name}", "The ledgers of {name}"),
    subjects=SUBJECTS,
    opening=_OPENING,
    sections=tuple(_SECTIONS),
    closing=_CLOSING,
    kinds=("map", "line", "boats", "bar", "map", "boats", "ring", "line"),
    shows={
        "bar": ("rainfall by month", "floods by decade", "dry days by year"),
        "line": ("water level by day", "river flow by week", "rain by hour"),
        "pie": ("land use in the valley", "water by stream"),
        "ring": ("layers of the river bed", "zones of a flood"),
    },
)
