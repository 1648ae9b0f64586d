"""History of measuring instruments. Dates are those commonly given in histories of science."""

from pipelines.sample.prose import Topic, sections, table

SUBJECTS = table(
    "name|it|measures|century|part|material|user|note",
    """
- the mercury barometer|the tube|the weight of the air|seventeenth|the column|glass and quicksilver|farmers|A well digger's
  complaint that no pump could lift water above ten metres started the whole affair.
- the marine chronometer|the clock|longitude|eighteenth|the balance|brass and steel|ships' officers|A carpenter's son spent
  forty years on the problem and had to ask a king for the last of his prize.
- the sextant|the frame|the height of the Sun|eighteenth|the mirror|brass and ebony|navigators|Two men an ocean apart found the
  same idea within a year, and neither had heard of the other.
- the astrolabe|the disc|the hour and the stars|ninth|the pierced star map|engraved brass|scholars|A poet wrote the first
  English handbook for it, to please a boy of ten who was probably his son.
- the theodolite|the instrument|angles across country|sixteenth|the telescope|brass and silver|surveyors|The largest ever made
  weighed half a ton and was once winched up a temple tower, from which it fell.
- the thermometer|the tube|warmth|eighteenth|the bulb|glass and spirit|doctors|The man whose name is on our scale had the
  boiling point at nought, and it was turned over after he died.
- the pendulum clock|the clock|equal hours|seventeenth|the bob|iron and brass|astronomers|Before it a good clock lost a quarter
  of an hour each day, and afterwards it lost some ten seconds.
- the slide rule|the rule|products and roots|seventeenth|the cursor|boxwood and ivory|engineers|For three centuries it went
  wherever things were built, and then it vanished from the shops in about five years.
- the magnetic compass|the needle|north|eleventh|the card|iron and paper|pilots|It was used to lay out houses and graves for
  hundreds of years before anyone took it to sea.
- the microscope|the instrument|what is too small to see|seventeenth|the lens|brass and glass|naturalists|A draper who wanted to
  count threads looked at pond water instead and wrote home about little animals.
- the telescope|the tube|what is too far to see|seventeenth|the object glass|card, leather and glass|spies|The first patent was
  refused because three people claimed it at once and the thing was too easy to copy.
- the hygrometer|the instrument|dampness|fifteenth|the hair|a frame of wood|weavers|A long fair hair, washed in soda, grows by a
  fortieth part in fog, and no machine has improved on that by much.
- the rain gauge|the funnel|rainfall|fifteenth|the measuring rod|iron and stone|magistrates|A king in Korea sent one to every
  district so that taxes could follow the harvest and the harvest the rain.
- the anemometer|the cups|the speed of the wind|nineteenth|the four cups|copper and steel|harbour masters|The inventor fixed an
  early one to a cathedral, where it frightened both the jackdaws and the dean.
- the seismograph|the instrument|the shaking of the ground|nineteenth|the heavy mass|iron and smoked paper|geologists|The oldest
  of all was a bronze jar with eight dragons, each of which held a ball above the mouth of a toad.
- the planimeter|the arm|the area of any shape|nineteenth|the little wheel|german silver|land agents|You lead a point around a
  field on a map, and a small wheel that only slides and turns tells you how large it is.
- the spirit level|the bubble|what is flat|seventeenth|the curved tube|glass and brass|masons|Every tube is ground to a very
  slight bow, since in a straight one the bubble would run away at once.
- the micrometer|the screw|the thickness of things|nineteenth|the thread|hardened steel|toolmakers|The master of one workshop
  kept his under lock and called it the Lord Chancellor, as there was no appeal from it.
- the hydrometer|the float|the strength of spirits|eighteenth|the stem|blown glass|excise men|Smugglers learned to read it as
  well as the crown did, and it is not known who had the better ones.
- the sundial|the dial|the hour of the day|fifteenth|the style|slate|sextons|A good one is right to the minute, but only for the
  place it was cut for, and half of them have been moved.
- the pantograph|the arms|copies of a drawing|seventeenth|the pivot|pear wood|map makers|It was first used to copy a portrait,
  and then, much later, to cut the type in which the news was printed.
- the tide machine|the machine|the height of the sea|nineteenth|the train of wheels|brass and cord|port authorities|Two clerks
  and a crank could make a year of tables in four hours, where a room full of people had needed a month.
- the balance|the beam|weight|sixteenth|the knife edge|steel and agate|assayers|The best will notice the ink of a signature, so
  that the weigher must hold his breath and stand still.
- the kymograph|the drum|a pulse on paper|nineteenth|the needle|brass and soot|physiologists|It was the first machine to let a
  heart write its own line, and students learned to varnish the soot before it smudged.
""",
)

_OPENING, *_SECTIONS, _CLOSING = sections(
    """
= Opening
- [In a case|Behind glass] on the [second|upper] floor of the museum in {town} there is an example of {name} that [has not|has
  never] [moved|been switched on] since {year}.
- [We take|It is easy to take] {measures} for granted, [because|now that] a [telephone|box the size of a thumb] will give us a
  [number|figure]; {name} [shows|reminds us] how [hard|slow] it was to [get|come by].
- {person} [repairs|restores] [old|scientific] instruments for a living, and [when asked|if you ask] for a favourite,
  [points|always points] to {name}.
- [The history|Any history] of {name} [begins|has to begin] with [a mistake|an argument], as [so many|many] of [the best|these]
  [histories|stories] do.
- [What would|Suppose that] you had to [learn|find] {measures} with [nothing|only] what the {century} century [had|could offer];
  [the answer|one good answer] was {name}.
= How it works | The idea | The principle | Inside the case
- [The idea|The thought behind it] is [simple|plain] enough: [something|a thing] in nature [changes|moves] with {measures}, and
  {part} [makes|turns] that [change|movement] [large|slow] enough for an eye to [follow|read].
- [Everything|All of it] depends on {part}, which has to be [free|loose] enough to [move|answer] and [stiff|steady] enough to
  [stop|come to rest], and [no maker|nobody] ever [got|had] both [in full|without cost].
- [Friction|Rubbing] is the [enemy|great enemy], and [half|most] of the [cleverness|work] in {it} [goes|went] into places that
  [a visitor|you] will [never|not] see.
- [A drawing|The diagram] makes it [clear|plain]: [follow|begin at] {part}, [go|pass] [along|through] to the scale, and
  [notice|see] that [nothing|no part] in between [could|can] be [left|taken] out.
- [Warmth|Heat] [upsets|disturbs] [nearly|almost] all of it, since {material} [grows|swells] on a [warm|summer] day, and [a
  second|another] part was [added|needed] to [take|cancel] that [away|out].
- [To read it|If you want a reading], you [wait|must wait] until it has [settled|stopped trembling], [bring|put] your eye [level
  with|square to] the mark, and [write|say] the number [before|and only then] you [think|form a view] about it.
- [The scale|Its scale] is [not|never] even, [if|when] you look [closely|with a glass], [because|for] the maker [divided|marked]
  it by [trial|comparison] and [not|never] by [rule|arithmetic].
- [It cannot|No instrument can] [tell|know] what it [was not|has not been] [built|made] to ask, and {name} [answers|replies] to
  [dust|damp] and [bad|poor] [temper|handling] as [readily|well] as to {measures}.
= Who made it | The makers | The workshop | Hands and tools
- [The first|Early] ones were [made|built] in the {century} century out of {material}, [one|each] at a [time|bench], by
  [people|men and women] who [signed|scratched] their [names|mark] where [only|nobody but] the next repairer would [look|find
  it].
- [It took|A good one took] [four|six|nine] months, and [cost|was sold for] as much as a [small|modest] [house|farm], so
  [customers|buyers] [came|paid] slowly and [complained|wrote] [often|at length].
- [A good|One good] apprentice [spent|gave] [two|three] years on [filing|polishing] {material} [before|until] being [trusted|let
  near] with {part}.
- [Workshops|The workshops] [stood|were] close together near the [river|docks], [borrowed|lent] each other's [lathes|tools], and
  [stole|took over] each other's [ideas|best hands] without [shame|much shame].
- [The accounts|Account books] [show|tell] that {surname} of {town} [made|delivered] [thirty|fifty|eighty] in {year},
  [lost|broke] [five|seven] on the [road|way], and was [paid|owed] for [most|about half] of the [rest|others].
- [Machines|Dividing engines] [changed|altered] [this|that]: [what|a scale that] had [needed|taken] a [week|fortnight] of
  [careful|silent] work [was|could be] [cut|done] in an hour, and [better|more evenly].
- [Women|The women of the family] did [much|a great deal] of the [finest|smallest] work, [such as|above all] the
  [engraving|lacquer] and the [setting|fitting] of {part}, and are [named|found] in [none|hardly any] of the [catalogues|books].
= In use | Out in the world | Who needed it | At work
- {user} were the first to [want|buy] it, [not|and not] out of [love|any love] for [science|learning], but [because|since] a
  [wrong|bad] [guess|figure] about {measures} [cost|lost] them money.
- [There is|We have] a [diary|letter] in which one of the {user} [writes|says] that {it} was [the only|one] honest [thing|voice]
  on board, and [another|a later one] in which he [throws|threatens to throw] it [away|in the sea].
- [Within|Inside] [thirty|fifty|forty] years it had [gone|spread] from [courts|academies] to [kitchens|farms], [losing|and lost]
  its [gilding|feet] and [gaining|won] a [strong|plain] box on the way.
- [Each|Every] [reading|measurement] was [entered|written] in a [book|table], and these [books|tables] are [now|today] worth
  [more|far more] than the [brass|instruments], [since|because] they [let|allow] us see [back|into the past].
- [Used|Handled] with care it was [right|good] to [about|roughly] one part in a [hundred|thousand], which [sounds|may seem]
  [poor|rough] [today|now] and [changed|was enough to change] [trade|the maps] for [ever|good].
- [The chart|Our chart] [compares|sets] [old|its] readings with [modern|present] ones, [decade|century] by [decade|century], and
  the [gap|difference] [shrinks|closes] [faster|sooner] than one [expects|would think].
- [Not all|Not every one] of the {user} were [pleased|glad]: some [held|said] that [skill|experience] [would|was going to] be
  [lost|forgotten], and [in a way|to a degree] they were [right|not wrong].
= What became of it | After its time | In the museum today | The end of the story
- [Few|Not many] [survive|are left], because {material} could be [sold|melted], and [because|also since] [nobody|no one] keeps a
  tool that has been [beaten|replaced] by [something|a thing] [cheaper|smaller].
- [The principle|Its principle] is [still|not] [with us|dead]: [open|take apart] a modern [sensor|device] for {measures} and
  [somewhere|deep] inside there is a [thing|grain of silicon] that does [the work|what was the duty] of {part}.
- [Collectors|People who collect] [look|hunt] for a [complete|full] box, with the [key|spare parts] and the [maker's|printed]
  card, and [pay|will pay] [double|twice as much] for [dents|marks] that have a story.
- {person} has [taken|had] this one [apart|to pieces] [twice|three times], [found|and found] an [eyelash|old hair] under the
  [glass|scale], and [left|put back] it there [out of respect|where it was].
- [A copy|One copy], [built|made] in {year} from the [old|original] drawings, [runs|works] [well|beautifully], and
  [visitors|school classes] may [turn|touch] it on the [first|last] Sunday of the month.
- [It is|That is] [worth|good] [standing|to stand] in front of it for [a minute|a while], [since|for] [so much|a good deal] of
  the [modern|present] world [began|started] as a [line|scratch] on [a scale|brass] like this.
- [Museums|The museum] [used|had the habit] to [polish|clean] such things until they [shone|gleamed], and [rubbed|wore] away the
  very [lines|numbers] that [made|had made] them [useful|what they are].
= Closing
- [The case|Its case] is on the [left|right] as you [come|go] in, [beside|next to] the [window|stairs], and the
  [attendant|guard] will [gladly|be happy to] [tell|give] you the [other|longer] half of this story.
- [Next time|In the next part] we [open|look into] a [smaller|larger] box; [anyone|readers] with [something|an old instrument]
  in the [attic|family] should [write|get in touch] [before|ahead of] {month}.
- [So|And so] {name} [waits|stands] there, a [little|bit] [tarnished|dusty], [still|and still] [ready|able] to tell {measures}
  to [anyone|whoever] who [asks|will ask] politely.
"""
)

TOPIC = Topic(
    name="instruments",
    host="workbench.example",
    site="The Brass Drawer",
    motto="Old instruments and the people who trusted them",
    titles=("{name} and its makers", "A short history of {name}", "Taking {name} apart", "Why {name} mattered"),
    subjects=SUBJECTS,
    opening=_OPENING,
    sections=tuple(_SECTIONS),
    closing=_CLOSING,
    kinds=("cutaway", "line", "ring", "cutaway", "bar", "flow", "boats", "cutaway"),
    shows={
        "bar": ("instruments sold by decade", "error by maker", "visitors by month"),
        "line": ("readings by day", "error by century", "price by year"),
        "pie": ("a workshop by trade", "a price by part"),
        "ring": ("rings of a dial", "scales of a disc"),
        "flow": ("how a scale is cut", "from ore to instrument"),
        "cutaway": ("a barometer", "a telescope", "a clock case", "a measuring tube"),
    },
)
