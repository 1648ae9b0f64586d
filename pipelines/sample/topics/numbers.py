"""Data journalism: what the open figures of an invented county say, and what they do not."""

from pipelines.sample.prose import Topic, sections, table

SUBJECTS = table(
    "name|unit|rows|keeper|odd|trend|note",
    """
- library loans|loans|210 thousand|the library service|a village that borrows only atlases|fell and then rose|The most borrowed
  book of the decade is a driving manual, followed at some distance by a ghost story.
- street trees|trees|48 thousand|the parks department|a fig tree on a roundabout|grew slowly|One lime tree appears in the list
  under four different numbers, having been surveyed by people who came from four directions.
- bicycle thefts|reports|17 thousand|the county police|a tandem stolen twice on one day|fell by a third|The curve drops to
  nothing on Christmas Day, and no one knows whether that is virtue or a closed police desk.
- bus delays|arrivals|3 million|the transport office|a bus that was eleven hours early|hardly moved|The bus that was eleven
  hours early had in truth been forgotten overnight with its radio switched on.
- restaurant inspections|visits|26 thousand|the food office|a kitchen inspected in an empty field|improved every year|Places
  with long names score lower than places with short ones, and we have no idea what to do with that.
- school meals|meals|9 million|the education office|a Tuesday with no potatoes|rose steadily|When fish moved from Friday to
  Wednesday the number of absent children moved with it.
- house prices|sales|61 thousand|the land registry|a barn sold for one pound|doubled in ten years|The barn that cost a pound
  came with a promise to mend its roof, which the buyer is still keeping.
- noise complaints|calls|33 thousand|the night desk|a complaint about silence|rose each summer|A caller once complained that a
  factory had stopped, since he could not sleep without it.
- rainfall records|readings|190 thousand|a chain of volunteers|a gauge moved by a goat|showed no clear line|For nine years one
  station had the driest air in the county, until somebody looked up and saw the tree.
- dog licences|licences|14 thousand|the town clerk|a dog aged ninety four|fell to almost nothing|Names follow fashion with a
  delay of about twelve years, as if dogs were named after the children of the last generation.
- parking fines|fines|420 thousand|the traffic office|a hearse fined at a funeral|rose sharply|Half of all fines come from
  eleven streets, and all eleven have a sign that can be read in two ways.
- road works|permits|22 thousand|the highways desk|a hole older than its permit|grew without a break|One hole was dug, filled
  and dug again six times in a year by companies that did not know of one another.
- births and names|births|88 thousand|the registrars|twins born in two years|fell gently|The most common name has never been
  given to more than one child in forty, which surprises nearly everyone.
- swimming pools|visits|5 million|the leisure trust|a pool busiest at dawn|collapsed and came back|One pool is fullest at six in
  the morning, when the people of the bread factory come off their shift.
- power cuts|minutes lost|7 thousand|the grid company|a cut caused by a swan|fell in jumps|Squirrels, swans and balloons
  together account for more darkness than all the storms on record.
- court fines|cases|54 thousand|the county court|a fine of three pence|changed with the law|The fine of three pence was set by a
  statute that nobody had thought to repeal.
- air quality|hours|2 million|nine roadside sensors|a spike on every fifth of November|improved, except in one street|The worst
  street in the county is not the busiest but the narrowest, where the air has nowhere to go.
- allotment waiting lists|names|6 thousand|the parish councils|a man who has waited since 1981|grew three times as long|The man
  at the top of the list was offered a plot twice and is holding out for the one with a view.
- fire calls|calls|71 thousand|the fire brigade|a fire reported by a parrot|fell year after year|Burnt toast is the most common
  cause of all, and has its own three digit code in the system.
- river crossings|vehicles|12 million|the bridge trust|one horse on the toll sheet|stayed level|The horse belongs to a retired
  judge, who pays the toll each week in order to be entered in the book.
- museum visitors|visitors|1 million|the museum service|a day with minus four visitors|rose after the roof was fixed|The day
  with minus four visitors was made by a gate that also counted people who came back for their umbrellas.
- lost property|objects|39 thousand|the railway|seven wedding dresses|rose with every holiday|More left gloves are handed in
  than right ones, and the difference is far too large to be chance.
- marriage records|weddings|45 thousand|the registrars|a wedding on a ferry|moved from spring to autumn|Saturdays in September
  are now booked three years ahead, and Tuesdays in February can be had for the asking.
- recycling weights|lorry loads|130 thousand|the waste office|a bin that held a piano|rose and then stalled|Glass weighs most in
  the first week of January, and no further explanation has been asked for.
""",
)

_OPENING, *_SECTIONS, _CLOSING = sections(
    """
= Opening
- [Last week|In {month}] the county [put out|released] its figures for {name}, [all|the whole] {rows} {unit} of them, and [by
  the evening|within hours] [three|four] papers had [found|printed] [three|four] different [headlines|stories].
- [We have spent|{person} has spent] [a month|some weeks] with {name}, which is to say with {rows} {unit} in [one|a single] very
  [long|wide] [table|file], and [most|much] of that month went [into|on] cleaning.
- [How|In what way] do you [check|test] a claim about {name}? [Slowly|With care], [it turns out|as we found], and with the help
  of {keeper}.
- [Everybody|Everyone] [thinks|believes] they know [what|the way] {name} [have done|went] in the last ten years; [the
  figures|the numbers] [only|do] [half|not quite] agree.
- [The question|Our question] came from a reader in {town}: [can|could] the [story|talk] about {name} [be|really be] [true|as
  simple as that]?
= What we counted | The data | Where the figures come from | The file
- The [table|file] [comes|is] from {keeper}, [has|holds] {rows} {unit}, and [reaches|goes] back to {year}, [although|even if]
  the [first|early] years are [thin|patchy].
- [Each|Every] row [has|gives] a date, a place and a [code|number], and [nobody|no one] now [working|employed] there [could|can]
  say what [two|three] of the codes [mean|stand for].
- [We asked|Our reporter asked] for it under the [law|act] on open records, [waited|and waited] [twenty|thirty] days, and
  [got|received] [a box|forty pages] of [paper|scans], [later|and then] a [proper|real] file.
- [Among|In] the [rows|records] we [found|met] {odd}, which [is|must be] [either|quite possibly] a [mistake|slip] or the
  [best|finest] story in the [county|set].
- [About|Some] [three|four|six] in a hundred [rows|records] were [broken|doubtful]: [dates|days] that [do|did] not exist,
  [places|streets] [spelled|written] in [five|six] ways, and [zeros|blanks] that [meant|stood for] [unknown|nothing at all].
- It is [important|worth saying] that these are [counts|sums] of what was [reported|written down], [not|and not] of
  what [happened|took place], and the [two|difference] [matters|can drift apart].
- [We kept|We have kept] [every|each] step in a [notebook|script] that [anyone|readers] can [run|follow], [and|so] [the
  result|each number in this piece] can be [traced|followed] back to its [row|source].
- {keeper} [read|saw] this [part|section] before [we printed it|it was printed] and [corrected|changed] one [figure|word], for
  which we [are grateful|thank them].
= What the chart shows | The picture | Reading the curve | The result
- [In short|Put briefly], {name} {trend}, [but|though] [the average|that sentence] [hides|covers up] [more|a good deal more]
  than it [tells|shows].
- [The bars|The columns] are [drawn|cut off] [from zero|at zero and nowhere else], because a [bar|column] that [starts|begins]
  in the [air|middle] [lies|tells lies] about [size|everything].
- [Look|If you look] at {month}, [where|in which] the [line|curve] [bends|turns], and [ask|think] what [else|other things]
  [changed|happened] in that [month|week]: [a form|the weather], [a price|a rule], [or|perhaps] only the [person|clerk] at the
  desk.
- Divide by the number of [people|households] and the [map|order] is turned [over|around]: the
  [big|large] towns [sink|fall back], and [a few|some] [quiet|small] places [rise|come up].
- [One|A single] [district|place], {town}, [stands|is] far [above|outside] the [rest|others], and [we went|{person} went] there
  to [see|find out] [why|what was going on].
- [Slices|The slices] of a [pie|round chart] are [hard|difficult] to compare, so we [use|have used] them [only|just] where there
  are [few|fewer than six], and [print|give] the [number|share] beside [each|every one].
- [The range|The spread] is [wide|large]: [in|for] an [ordinary|average] week it [lies|is found] between [forty|sixty] and
  [ninety|a hundred], and [a change|any change] [smaller|less] than that [means|says] [nothing|very little].
- Two lines [move|rise] together, [and|so] it is [tempting|easy] to [say|think] that one [pulls|moves] the
  other, [yet|but] [both|the two] may [simply|well] be [following|led by] the [calendar|season].
= What could be wrong | Doubts | Handle with care | Limits
- [What|The things that] we [cannot|do not] [see|know] [may|could] be larger than what we can, [since|because] {unit} are
  [counted|entered] only when [somebody|a person] [bothers|takes the trouble] to [report|write].
- [In {year}|A few years ago] the [form|definition] [changed|was changed], and [part|some] of the [jump|step] in that year is
  [made|nothing but a matter] of [paper|new boxes].
- [Small|Very small] numbers [jump|dance]: a village with [two|three] {unit} one year and [five|six] the next has [not|hardly]
  [seen|had] a [wave|crisis] of anything.
- [We tried|We also tried] [leaving|to leave] out the [strangest|largest] [one|value] in [each|every] district, and [the
  order|the result] [stayed|was] [much|almost] the same, which is [a comfort|reassuring] but no [proof|guarantee].
- [An expert|Somebody who knows] at the [university|institute] [told|warned] us not to [trust|believe] the [last|newest] three
  months, [as|because] late [entries|reports] [keep|go on] [coming|arriving] in.
- [It would|It might] be [wrong|unfair] to [rank|judge] people by this, and [anyone|a person] who [wants|likes] to do so
  [should|ought to] [first|at least] [read|look at] the [notes|footnotes] that [came|go] with the file.
- [If we have|Should we have] made a [mistake|slip], [tell|write to] us and we will [correct|put] it [here|on this page], with
  the date, [and not|rather than] in [small|tiny] type [somewhere|in a corner].
= Behind the numbers | The people in the table | On the ground | A visit
- [A row|One row] in the table is [a person|somebody] who [picked|had to pick] up a [telephone|pen], and [so|for that reason] we
  [called|rang] [eleven|fourteen|nine] of them.
- [In an office|In a back room] behind the [town hall|station], {surname} has [typed|entered] these [figures|records] since
  {year}, with two [fingers|screens] and a [plant|radio], and [sees|spots] an [error|odd one] at a glance.
- [Nobody|No one] [had|has ever] [asked|come] before, [she|he] [said|told us], and [opened|then opened] a [drawer|cupboard]
  packed with the [years|books] that the [computer|system] had [lost|refused].
- [The matter|The case] of {odd} was [solved|settled] in [five|ten] minutes by the [caretaker|gardener], who [remembered|had
  been there on] the day [well|exactly].
- [People|Those] who [live|work] there [shrug|smile] at the [chart|curve], for [they|most of them] had [known|felt] it for
  [years|a long time], and [only|just] [lacked|wanted] the [number|proof].
- [Policy|A new rule] [followed|came] in {year}, after a [meeting|hearing] at which [one|a single] good [graph|table] did more
  than [ten|twenty] [speeches|letters].
- It is [cheap|easy] to [laugh|smile] about {odd}, but [behind|underneath] it is [a service|an office] that has
  [lost|given up] a [third|quarter] of its [staff|people] and [still|yet] [answers|opens] the [door|post] each [morning|day].
= Closing
- [The file|The whole file] is [free|there] to [download|copy], [errors|oddities] and all, and [we would|we should] [love|like]
  to [hear|know] what you [find|make of it].
- [Next|In our next piece] we [count|turn to] something [smaller|nearer home]; [ideas|suggestions], [as always|as ever], to the
  [desk|address] [below|at the foot of the page].
- [Figures|Numbers] do not [speak|talk] for themselves, [whatever|in spite of what] the [saying|proverb] claims, but
  [asked|questioned] [kindly|politely] about {name} they [will|do] [say|admit] a [few|good many] things.
"""
)

TOPIC = Topic(
    name="numbers",
    host="tally.example",
    site="Tally",
    motto="Counting the county, one table at a time",
    titles=(
        "What {name} tell us",
        "Counting {name}",
        "{name}: ten years in one chart",
        "The truth about {name}, more or less",
    ),
    subjects=SUBJECTS,
    opening=_OPENING,
    sections=tuple(_SECTIONS),
    closing=_CLOSING,
    kinds=("bar", "pie", "line", "bar", "map", "pie", "street", "line"),
    shows={
        "bar": ("cases by district", "reports by year", "counts by month", "calls by hour"),
        "line": ("reports by week", "the trend by year", "costs by month"),
        "pie": ("reports by cause", "the budget by office", "answers by age"),
        "flow": ("how the figures are made",),
    },
)
