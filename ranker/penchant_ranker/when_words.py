"""The words that times are said with, in nine languages: what each can mean, in one table.

A word may mean several things ("mar" is March and Tuesday, "ago" only ever follows a count); which of them holds is
left to the patterns in `when_whole`. So a query may mix languages: "notes from mars 2025".
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from enum import IntEnum


class Unit(IntEnum):
    """A stretch of time that is counted in."""

    SECOND = 0
    MINUTE = 1
    HOUR = 2
    DAY = 3
    WEEK = 4
    FORTNIGHT = 5
    MONTH = 6
    QUARTER = 7
    HALF = 8
    YEAR = 9
    WEEKEND = 10


#: A kind of meaning, its value and the words for it, "|" between languages (English, German, French, Spanish, Italian,
#: Portuguese, Russian, Chinese, Japanese; one that shares its words with an earlier one adds only what is its own).
#: "_" joins the words of a phrase, however a text sets them apart.
_TABLE = """
# ---- months; "weak" ones are other words or names too and need a day, a year or a preposition
month 1: january | januar jänner | janvier | enero | gennaio | janeiro | январь января январе январю январём
month 2: february | februar | février | febrero | febbraio | fevereiro | февраль февраля феврале февралю февралём
month 3: märz | marzo | março | март марта марте марту мартом
month 4: april | avril | abril | aprile | апрель апреля апреле апрелю апрелем
month 5: maggio | maio | май мая мае маю маем
month 6: june | juni | juin | junio | giugno | junho | июнь июня июне июню июнем
month 7: july | juli | juillet | luglio | julho | июль июля июле июлю июлем
month 8: august | août | agosto | август августа августе августу августом
month 9: september | septembre | septiembre setiembre | settembre | setembro | сентябрь сентября сентябре сентябрём
month 10: october | oktober | octobre | octubre | ottobre | outubro | октябрь октября октябре октябрём
month 11: november | novembre | noviembre | novembro | ноябрь ноября ноябре ноябрём
month 12: december | dezember | décembre | diciembre | dicembre | dezembro | декабрь декабря декабре декабрём
weak 1: jan | jän | janv | янв
weak 2: feb | févr fév | fev | фев февр
weak 3: march mar | mrz | mars | marco | мар
weak 4: apr | avr | abr | апр
weak 5: may | mai | mayo
weak 6: jun | giu | июн
weak 7: jul | juil | julio | lug | июл
weak 8: aug
weak 9: sep sept | сен сент
weak 10: oct | okt | ott | окт
weak 11: nov | ноя нояб
weak 12: dec | dez | déc | dic | дек
# short names that are common words of another language: only with a day and a year
short 1: ene | gen
short 5: mag
short 8: ago | авг
short 9: set
short 10: out
# ---- days of the week; "brief" ones only beside "last", "on" or a date
weekday 0: monday | montag | lundi | lunes | lunedì | segunda_feira | понедельник понедельника понедельнику |
    周一 週一 星期一 礼拜一 禮拜一 | 月曜日 月曜
weekday 1: tuesday | dienstag | mardi | martes | martedì | terça_feira terça | вторник вторника вторнику |
    周二 週二 星期二 礼拜二 禮拜二 | 火曜日 火曜
weekday 2: wednesday | mittwoch | mercredi | miércoles | mercoledì | quarta_feira | среда среду среды среде |
    周三 週三 星期三 礼拜三 禮拜三 | 水曜日 水曜
weekday 3: thursday | donnerstag | jeudi | jueves | giovedì | quinta_feira | четверг четверга четвергу |
    周四 週四 星期四 礼拜四 禮拜四 | 木曜日 木曜
weekday 4: friday | freitag | vendredi | viernes | venerdì | sexta_feira | пятница пятницу пятницы пятнице |
    周五 週五 星期五 礼拜五 禮拜五 | 金曜日 金曜
weekday 5: saturday | samstag sonnabend | samedi | sábado | sabato | суббота субботу субботы субботе |
    周六 週六 星期六 礼拜六 禮拜六 | 土曜日 土曜
weekday 6: sunday | sonntag | dimanche | domingo | domenica | воскресенье воскресенья воскресенью |
    周日 周天 週日 週天 星期日 星期天 礼拜日 礼拜天 禮拜日 禮拜天 | 日曜日 日曜
brief 0: mon | lun | segunda | пн
brief 1: tue tues | вт
brief 2: wed weds | mer | mié | quarta | ср
brief 3: thu thur thurs | jeu | jue | gio | quinta | чт
brief 4: fri | ven | vie | sexta | пт
brief 5: sat | sam | sáb | sab | сб
brief 6: sun | dim | dom | вс
# the plural is a habit ("on Mondays") except in a count: "two Fridays ago"
weekdays 0: mondays
weekdays 1: tuesdays
weekdays 2: wednesdays
weekdays 3: thursdays
weekdays 4: fridays
weekdays 5: saturdays
weekdays 6: sundays
# ---- units
unit SECOND: second seconds sec secs | sekunde sekunden | seconde secondes | segundo segundos | secondo secondi |
    секунд секунды секунду | 秒 秒钟 | 秒間
unit MINUTE: minute minutes min mins | minuten | minuto minutos | minuti | минут минуты минуту | 分钟 分鐘 | 分 分間
unit HOUR: hour hours hr hrs | stunde stunden | heure heures | hora horas | ora ore | час часа часов |
    小时 小時 个小时 個小時 钟头 个钟头 | 時間
unit DAY: day days | tag tage tagen | jour jours | día días | giorno giorni | dia dias | день дня дней | 天 日 |
    日間
unit WEEK: week weeks wk wks | woche wochen | semaine semaines | semana semanas | settimana settimane |
    неделя недели недель неделю неделе неделей | 周 週 星期 礼拜 禮拜 个星期 個星期 个礼拜 個禮拜 个周 | 週間
unit FORTNIGHT: fortnight fortnights | quinzaine | quincena | quinzena
unit MONTH: month months mo mos mth mths | monat monate monaten monats | mois | mes meses | mese mesi | mês |
    месяц месяца месяцев месяце | 个月 個月 | ヶ月 か月 カ月 ケ月 ヵ月 箇月 ヶ月間 か月間
unit QUARTER: quarter quarters | quartal quartale quartalen quartals | trimestre trimestres | trimestri |
    квартал квартала кварталов квартале | 季度 个季度 個季度 | 四半期
unit HALF: halbjahr halbjahre halbjahren halbjahres | semestre semestres | semestri |
    полугодие полугодия полугодии полгода
unit YEAR: year years yr yrs | jahr jahre jahren jahres | an ans année années | año años | anno anni | ano anos |
    год года году лет годов | 年 | 年間
unit WEEKEND: weekend weekends week_end week_ends | wochenende wochenenden | fin_de_semana fines_de_semana finde |
    fine_settimana | fim_de_semana fins_de_semana | выходные выходных выходным | 周末 週末 | 个周末 個週末
split HALF: half | hälfte | moitié | mitad | metà | metade | половина половине половину
# letters that are units only right behind a number: "3d ago"
glued SECOND: s
glued MINUTE: m
glued HOUR: h
glued DAY: d
glued WEEK: w
glued MONTH: mon
glued YEAR: y
# longer words that a unit begins, so that no unit is seen in them
other 0: 周围 周边 周期 周到 天气 天然 天空 年龄 年级 月亮 月球 日志 日期 日常 日本 日语 日程 分支 分析 |
    分类 分布 分享 秒杀 | 日記 日付 日時
# what a number means in 2024年3月3日
nian 0: 年
yue 0: 月 月份
ri 0: 日 号 號
measure 0: 个 個
yearmark 0: года год г году
# ---- which one of the units
last -1: last previous | letzte letzten letzter letztes letztem vorige vorigen voriger voriges vorigem |
    vergangene vergangenen vergangener vergangenes vergangenem | pasado pasada |
    scorso scorsa scorsi scorse passato passata | passado passada |
    прошлый прошлая прошлое прошлые прошлой прошлом прошлых прошлую прошлого прошлым |
    прошедший прошедшие прошедшая прошедшей прошедшую прошедшем прошедших |
    минувший минувшие минувшая минувшей минувшую минувшем минувших | 上 上一 | 前の
last -2: vorletzte vorletzten vorletzter vorletztes vorletztem | antepasado antepasada |
    позапрошлый позапрошлая позапрошлой позапрошлую позапрошлом позапрошлого позапрошлых | 上上
last_after -1: dernier dernière derniers dernières passé passée | pasado pasada anterior |
    scorso scorsa scorsi passato passata | passado passada
last_after -2: avant_dernier avant_dernière | antepasado antepasada | retrasado retrasada
rolling 0: past | dernier dernière derniers dernières | último última últimos últimas |
    ultimo ultima ultimi ultime | последний последняя последнее последние последней последнюю последнем последних |
    过去 過去 最近 近 | 直近 ここ この
this 0: this current | diese dieser dieses diesen diesem | ce cet cette ces | este esta | questo questa |
    aktuelle aktuellen laufende laufenden | neste nesta deste desta esse essa nesse nessa |
    этот эта это эти этой этом этих эту этого текущий текущая текущей текущем текущую | 这 這 本 当 当前 | この
this_after 0: actual corriente | corrente attuale | atual
next 1: next coming upcoming | nächste nächsten nächster nächstes nächstem kommende kommenden kommendes |
    próximo próxima | prossimo prossima |
    следующий следующая следующей следующую следующем следующее следующие следующих |
    будущий будущей будущую будущем | 下 下一
next 2: übernächste übernächsten übernächster übernächstes | 下下
next_after 1: prochain prochaine | próximo próxima que_viene entrante | prossimo prossima | que_vem
weekof -1: 上
weekof -2: 上上
weekof 0: 这 這 本
weekof 1: 下
of_week -1: 先週
of_week -2: 先々週 先先週
of_week 0: 今週
of_week 1: 来週
of_week 2: 再来週
of_weekend -1: 先週末
of_weekend 0: 今週末
of_weekend 1: 来週末
of_month -1: 上月 上个月 上個月 上一个月 | 先月
of_month -2: 上上个月 上上個月 | 先々月 先先月
of_month 0: 本月 当月 这月 這月 这个月 這個月 | 今月
of_month 1: 下月 下个月 下個月 下一个月 | 来月
of_year -1: an_dernier an_passé | 去年 | 昨年
of_year -2: 前年 | 一昨年
of_year 0: heuer | 今年
of_year 1: an_prochain | 明年 | 来年
of_year 2: 后年 後年 | 再来年
ago 0: ago back earlier | zurück | atrás | fa addietro | назад тому_назад | 前 以前 之前
ago_one 0: назад тому_назад
ago_before 0: vor | il_y_a | hace | há faz
later 0: later hence from_now | später | plus_tard | más_tarde después | dopo più_tardi | depois mais_tarde |
    спустя | 后 後 以后 以後 之后 之後
ahead 0: in | dans d_ici | dentro_de | tra fra | em daqui_a | через
# ---- days by their distance from today
relday -3: 大前天
relday -2: day_before_yesterday | vorgestern | avant_hier | anteayer antes_de_ayer antier | altro_ieri avantieri |
    l_altroieri ieri_l_altro | anteontem | позавчера | 前天 | 一昨日 おととい
relday -1: yesterday | gestern | hier | ayer anoche | ieri | ontem | вчера | 昨天 昨日 昨晚 昨夜 | 昨晩 きのう
relday 0: today tonight | heute | aujourd_hui aujourdhui | hoy | oggi stamattina stamane stasera stanotte | hoje |
    сегодня | 今天 今日 今晚 今早 今晨 | 本日 今朝 今夜 今晩
relday 1: tomorrow tmrw | morgen | demain | mañana | domani | amanhã | завтра | 明天 明日 明早 明晚
relday 2: day_after_tomorrow | übermorgen | après_demain | pasado_mañana | dopodomani dopo_domani |
    depois_de_amanhã | послезавтра | 后天 後天 | 明後日 あさって
part 0: morning afternoon evening night noon | morgen vormittag mittag nachmittag abend nacht früh |
    matin matinée midi après_midi soir soirée nuit | mañana mediodía tarde noche madrugada |
    mattina mattino pomeriggio sera notte | manhã noite |
    утром утро утра днем днём вечером вечер вечера ночью ночь ночи |
    早上 早晨 上午 中午 下午 晚上 傍晚 夜里 凌晨 半夜 | 朝 午前 昼 午後 夕方 夜 晩
clockword 0: midnight | mitternacht | minuit | medianoche | mezzanotte | meia_noite | полночь | 午夜
clockword 12: noon
# ---- parts of the year
quarter 1: q1
quarter 2: q2
quarter 3: q3
quarter 4: q4
quarter_of 1: t1
quarter_of 2: t2
quarter_of 3: t3
quarter_of 4: t4
nth 0: 第
half 1: 上半年 | 上半期
half 2: 下半年 | 下半期
half_of 1: h1
half_of 2: h2
season 0: spring | frühling frühjahr frühlings | printemps | primavera | весна весной весны | 春天 春季 | 春
season 1: summer | sommer sommers | été | verano | estate | verão | лето летом лета | 夏天 夏季 | 夏
season 2: autumn fall | herbst herbstes | automne | otoño | autunno | outono | осень осенью осени | 秋天 秋季 | 秋
season 3: winter | winters | hiver | invierno | inverno | зима зимой зимы зиму | 冬天 冬季 | 冬
edge 0: beginning_of start_of | anfang | début | principios comienzos inicios | inizio inizi | início começo |
    начало начале начала
edge 1: middle_of | mitte | milieu | mediados | metà | meados | середина середине середины
edge 2: end_of | ende | fin fin_de | finales_de fines_de final_de | fine | fim fim_de | конец конце конца
# those that stand right in front of a month or year
edge_of 0: early
edge_of 1: mid | mi
edge_of 2: late
edge_after 0: 初 上旬 | 初め
edge_after 1: 中旬 | 半ば
edge_after 2: 底 末 下旬
week_number 0: calendar_week cw | kw kalenderwoche
# ---- counts
count 0.5: half_a half_an | halbes halben halbe | demi une_demi | medio media | mezzo mezza | meio meia |
    半 半个 半個
count 1: a an one | ein eine einem einer einen | un une | una uno | um uma | один одну одна одного
count 1.5: one_and_a_half | anderthalb eineinhalb | полтора полторы
count 2: two | zwei | deux | dos | due | dois duas | два две двух
count 3: three | drei | trois | tres | tre | três | три трёх
count 4: four | vier | quatre | cuatro | quattro | quatro | четыре четырёх
count 5: five | fünf | cinq | cinco | cinque | пять пяти
count 6: six | sechs | seis | sei | шесть шести
count 7: seven | sieben | sept | siete | sette | sete | семь семи
count 8: eight | acht | huit | ocho | otto | oito | восемь восьми
count 9: nine | neun | neuf | nueve | nove | девять девяти
count 10: ten | zehn | dix | diez | dieci | dez | десять десяти
count 11: eleven | elf | onze | once | undici | одиннадцать
count 12: twelve | zwölf | douze | doce | dodici | doze | двенадцать
count 13: thirteen | dreizehn | treize | trece | tredici | treze | тринадцать
count 14: fourteen | vierzehn | quatorze | catorce | quattordici | catorze | четырнадцать
count 15: fifteen | fünfzehn | quinze | quince | quindici | пятнадцать
count 16: sixteen | sechzehn | seize | dieciséis | sedici | dezesseis | шестнадцать
count 17: seventeen | siebzehn | dix_sept | diecisiete | diciassette | dezessete | семнадцать
count 18: eighteen | achtzehn | dix_huit | dieciocho | diciotto | dezoito | восемнадцать
count 19: nineteen | neunzehn | dix_neuf | diecinueve | diciannove | dezenove | девятнадцать
count 20: twenty | zwanzig | vingt | veinte | venti | vinte | двадцать
count 30: thirty | dreißig dreissig | trente | treinta | trenta | trinta | тридцать
count 40: forty | vierzig | quarante | cuarenta | quaranta | quarenta | сорок
count 50: fifty | fünfzig | cinquante | cincuenta | cinquanta | cinquenta | пятьдесят
count 60: sixty | sechzig | soixante | sesenta | sessanta | sessenta | шестьдесят
count 90: ninety | neunzig | noventa | novanta | девяносто
count 100: hundred a_hundred | hundert | cent | cien | cento | cem | сто
# the same in front of another count: "twenty-one"
tens 20: twenty | zwanzig | vingt | veinte | venti | vinte | двадцать
tens 30: thirty | dreißig dreissig | trente | treinta | trenta | trinta | тридцать
tens 40: forty | vierzig | quarante | cuarenta | quaranta | quarenta | сорок
tens 50: fifty | fünfzig | cinquante | cincuenta | cinquanta | cinquenta | пятьдесят
tens 60: sixty | sechzig | soixante | sesenta | sessanta | sessenta | шестьдесят
tens 90: ninety | neunzig | noventa | novanta | девяносто
plus_half 0.5: and_a_half | et_demi et_demie | y_medio y_media | e_mezzo e_mezza | e_meio e_meia | с_половиной | 半
# "a couple of" is 1 to 3, "a few" 2 to 5
vague 2: couple couple_of a_couple a_couple_of | par_de un_par_de | paio_di un_paio_di | um_par_de | пару пара пары
vague 3: few a_few several some | paar ein_paar einige einigen einiger mehrere mehreren | quelques plusieurs |
    unos unas algunos algunas varios varias unos_pocos unas_pocas pocos pocas | qualche alcuni alcune pochi poche |
    alguns algumas uns umas vários várias poucos | несколько нескольких | 几 幾 好几 若干 数
ordinal 1: first | erste ersten erster erstes erstem | premier première | primero primera primer | primo prima |
    primeiro primeira | первый первая первое первого первом первой первую i
ordinal 2: second | zweite zweiten zweiter zweites zweitem | deuxième seconde | segundo segunda | secondo seconda |
    второй вторая второе второго втором вторую ii
ordinal 3: third | dritte dritten dritter drittes drittem | troisième | tercero tercera tercer | terzo terza |
    terceiro terceira | третий третья третье третьего третьем третьей третью iii
ordinal 4: fourth | vierte vierten vierter viertes viertem | quatrième | cuarto cuarta | quarto quarta |
    четвёртый четвёртая четвёртое четвёртого четвёртом iv
ordinal 5: fifth
ordinal 6: sixth
ordinal 7: seventh
ordinal 8: eighth
ordinal 9: ninth
ordinal 10: tenth
ordinal 11: eleventh
ordinal 12: twelfth
ordinal 13: thirteenth
ordinal 14: fourteenth
ordinal 15: fifteenth
ordinal 16: sixteenth
ordinal 17: seventeenth
ordinal 18: eighteenth
ordinal 19: nineteenth
ordinal 20: twentieth
ordinal 21: twenty_first
ordinal 22: twenty_second
ordinal 23: twenty_third
ordinal 24: twenty_fourth
ordinal 25: twenty_fifth
ordinal 26: twenty_sixth
ordinal 27: twenty_seventh
ordinal 28: twenty_eighth
ordinal 29: twenty_ninth
ordinal 30: thirtieth
ordinal 31: thirty_first
# ---- what joins times
of 0: of the s | der des den dem die das | de du la le les l d | del las el los |
    di della dello dell dei degli delle il lo gli | do da dos o os | 的 | の
in 0: in on at during within over for by | im am an auf während | en au aux à pendant durant | durante por |
    nel nella nello nell nei negli nelle a ad alla | em no na nos nas | в во на за к | 在
over 0: in over during within for
since 0: since | seit ab | depuis | desde | da dal dalla dallo dall | с со начиная_с | 自从 自 从 從
since_after 0: onwards onward | 以来 以來 | 以降 から
after 0: after | nach | après | después_de después_del tras | dopo | depois_de depois_do após | после
after_after 0: 之后 之後 以后 以後 后 後
before 0: before prior_to | vor | avant | antes_de antes_del | prima_di prima_del prima_della | antes_do | до |
    antes_da
before_after 0: 之前 以前 前
until 0: until till up_to | bis | jusqu jusqu_à jusqu_au jusqu_en | hasta | fino_a fino_al fino_alla sino_a | até |
    по | 直到
until_after 0: 为止 為止 | まで
between 0: between | zwischen | entre | tra fra | между | 介于 在
between_after 0: 之间 之間 | の間
and 0: and | und | et | y e | ed | и | 和 与 與 | と
from 0: from | von vom | de du des | del desde | da dal dalla dallo dall | do | с со от | 从 從 自
to 0: to until till through thru | bis bis_zum | à au aux jusqu_à jusqu_au jusqu_en | a al hasta hasta_el |
    alla fino_a fino_al | ao até | по до | 到 至 | から
or 0: or | oder | ou | o u | od | или | 或
every 0: every each | jede jeden jedes jeder jedem | chaque tous_les toutes_les | cada todos_los todas_las |
    ogni tutti_i tutte_le | todo toda todos_os todas_as | каждый каждую каждое каждые | 每 每个 每個 | 毎
"""

#: Kinds that a time cannot do without; a text with none of their words, and no digits like a date's, names none.
_HEADS = frozenset((
    "month", "weak", "weekday", "weekdays", "unit", "relday", "part", "clockword", "quarter", "quarter_of", "half",
    "half_of", "season", "of_week", "of_weekend", "of_month", "of_year", "ago", "week_number", "split",
))  # fmt: skip
#: Too common as other words to look further for; "l'an dernier", "10 out 2024" are found by their other words.
_NO_HEADS = frozenset(("an", "ans", "second", "half", "back", "earlier", "prima", "fa", "sec", "out"))
_HAN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff々]")
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"})
#: Without their accents these are other words (so are "há" and "à"): Marco, ate, Meta.
_ACCENTED = frozenset(("março", "até", "metà"))
_PARTS_DE = ("morgen", "vormittag", "mittag", "nachmittag", "abend", "nacht")


def _spellings(word: str) -> set[str]:
    """A word with and without its accents; umlauts in two letters too."""
    bare = "".join(c for c in unicodedata.normalize("NFKD", word) if not unicodedata.combining(c))
    if _HAN.search(word) or word in _ACCENTED or (len(bare) < 3 and bare != word):
        return {word}
    if any("\u0400" <= c <= "\u04ff" for c in word):
        return {word, word.replace("ё", "е")}
    return {word, bare, word.translate(_UMLAUTS)}


def _rows() -> Iterator[tuple[str, float, str]]:
    """The table's kind, value and word, one after the other."""
    kind, value = "", 0.0
    for line in _TABLE.splitlines():
        words = line
        if not line.startswith((" ", "#")) and line:
            head, _, words = line.partition(":")
            kind, _, said = head.partition(" ")
            value = Unit[said] if said.isupper() else float(said)
        if not line.startswith("#"):
            yield from ((kind, value, word) for word in words.replace("|", " ").split())


def _read() -> dict[str, dict[str, float]]:
    senses: dict[str, dict[str, float]] = {}
    for kind, value, word in _rows():
        for spelling in _spellings(word):
            senses.setdefault(spelling, {}).setdefault(kind, value)
            if kind == "weekday" and spelling.endswith("tag"):
                senses |= {spelling + part: {"weekday": value} for part in _PARTS_DE}
    return senses


_ALL = _read()
#: What a single word can mean: kind -> value.
WORDS = {word: senses for word, senses in _ALL.items() if "_" not in word}
#: What a phrase can mean, by its first word; the longest first.
PHRASES: dict[str, list[tuple[tuple[str, ...], dict[str, float]]]] = {}
for _phrase in sorted((w for w in _ALL if "_" in w), key=lambda w: -w.count("_")):
    _first, *_rest = _phrase.split("_")
    PHRASES.setdefault(_first, []).append((tuple(_rest), _ALL[_phrase]))
#: The lengths of words of scripts without spaces, the longest first, by their first character.
UNSPACED: dict[str, tuple[int, ...]] = {
    first: tuple(sorted({len(w) for w in WORDS if w[0] == first}, reverse=True))
    for first in {w[0] for w in WORDS if _HAN.search(w)}
}
_HEADY = {w for w, senses in _ALL.items() if not _HEADS.isdisjoint(senses)}
#: Spaced words without which no time is named (the last word of a phrase stands for it).
HEADS = frozenset(
    {w.rsplit("_", 1)[-1] for w in _HEADY if not _HAN.search(w)} - _NO_HEADS
    | {"mon", "tue", "tues", "wed", "weds", "thu", "thur", "thurs", "fri", "sat", "sun"}  # "last fri"
    | {"пн", "вт", "ср", "чт", "пт", "сб", "вс", "última", "ultima", "próxima", "proxima"}
    | {"pasado", "pasada", "passado", "passada", "scorso", "scorsa", "viene", "vem"}  # "mié pasado"
    | {"dernier", "passé", "passe", "prochain", "hui", "semana", "settimana", "end", "ends"}
)
#: Those that name a time more surely than a unit or a part of the day does.
SURE_HEADS = frozenset(
    w for w in HEADS if not {"month", "weekday", "relday", "quarter"}.isdisjoint(WORDS.get(w, ()))
)
#: Characters of unspaced scripts without which no time is named.
HEAD_CHARACTERS = frozenset(
    "年月日天周週昨今明晚夜期末拜曜旬季朝秒分時时后後前先来夏冬春秋晩晨昼午夕钟早おきあ"
)
