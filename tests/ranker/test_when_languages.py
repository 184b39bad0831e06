"""Times in nine languages, each with the days that it names, worked out by hand; and text that names none.

Each line is a text and its first and last day; one day alone where they are the same, an open end empty.
"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from penchant_ranker import time_ranges

#: Asked on a Wednesday: 2026-08-12, 14:30 UTC.
AUGUST = int(datetime(2026, 8, 12, 14, 30, tzinfo=UTC).timestamp())
ASKED_IN_AUGUST = """
# English
what did we ship 3 weeks ago = 2026-07-22
2 or 3 days ago = 2026-08-09..2026-08-10
two to three weeks ago = 2026-07-22..2026-07-29
half a year ago = 2026-02-12
a year and a half ago = 2025-02-12
over the past 24 hours = 2026-08-11..2026-08-12
in the last hour = 2026-08-12
in the last week = 2026-08-05..2026-08-12
during the last 2 months = 2026-06-12..2026-08-12
the last few days = 2026-08-07..2026-08-12
this quarter = 2026-07-01..2026-09-30
last quarter = 2026-04-01..2026-06-30
Q1 2025 = 2025-01-01..2025-03-31
Q4 last year = 2025-10-01..2025-12-31
third quarter of 2024 = 2024-07-01..2024-09-30
H2 2025 = 2025-07-01..2025-12-31
first half of 2025 = 2025-01-01..2025-06-30
the second half of last year = 2025-07-01..2025-12-31
early March 2025 = 2025-03-01..2025-03-10
late last year = 2025-09-01..2025-12-31
at the end of last month = 2026-07-21..2026-07-31
mid-March 2026 = 2026-03-11..2026-03-20
March of last year = 2025-03-01..2025-03-31
last March = 2026-03-01..2026-03-31
last September = 2025-09-01..2025-09-30
next May = 2027-05-01..2027-05-31
between 3 and 5 March = 2026-03-03..2026-03-05
March 3-5, 2024 = 2024-03-03..2024-03-05
from March to May 2024 = 2024-03-01..2024-05-31
from November to January = 2025-11-01..2026-01-31
from 2019 to 2021 = 2019-01-01..2021-12-31
since Monday = 2026-08-10..
since March = 2026-03-01..
before 2024 = ..2023-12-31
after 5 May 2026 = 2026-05-06..
until yesterday = ..2026-08-11
everything before last week = ..2026-08-02
the week before last = 2026-07-27..2026-08-02
the month before last = 2026-06-01..2026-06-30
Monday last week = 2026-08-03
last week's Friday = 2026-08-07
last Monday = 2026-08-10
last Wednesday = 2026-08-05
on Tuesday afternoon = 2026-08-11
next Friday = 2026-08-14
the day after tomorrow = 2026-08-14
3 days after 5 May 2026 = 2026-05-08
the week before 5 May 2026 = 2026-04-28..2026-05-04
first week of March 2025 = 2025-03-01..2025-03-07
the last Friday of May 2025 = 2025-05-30
the 3rd of last month = 2026-07-03
summer of 2024 = 2024-06-01..2024-08-31
last winter = 2025-12-01..2026-02-28
year 2023 = 2023-01-01..2023-12-31
the 2023 release notes = 2023-01-01..2023-12-31
meeting on 5 may = 2026-05-05
# German
vor zwei Wochen = 2026-07-29
vor einem halben Jahr = 2026-02-12
vorletzte Woche = 2026-07-27..2026-08-02
in den letzten drei Tagen = 2026-08-09..2026-08-12
letzten Freitag = 2026-08-07
am Montag = 2026-08-10
am Montagmorgen = 2026-08-10
Anfang März 2025 = 2025-03-01..2025-03-10
Ende letzten Jahres = 2025-09-01..2025-12-31
im März letzten Jahres = 2025-03-01..2025-03-31
seit Mai = 2026-05-01..
vom 3. bis 5. März 2025 = 2025-03-03..2025-03-05
zwischen März und Mai 2025 = 2025-03-01..2025-05-31
vor März 2025 = ..2025-02-28
im Jahr 2024 = 2024-01-01..2024-12-31
3. Quartal 2024 = 2024-07-01..2024-09-30
KW 32 = 2026-08-03..2026-08-09
am Wochenende = 2026-08-08..2026-08-09
nächste Woche = 2026-08-17..2026-08-23
übermorgen = 2026-08-14
gestern Abend = 2026-08-11
morgen = 2026-08-13
im Sommer 2024 = 2024-06-01..2024-08-31
# French
il y a deux semaines = 2026-07-29
il y a quelques jours = 2026-08-07..2026-08-10
les trois derniers jours = 2026-08-09..2026-08-12
lundi dernier = 2026-08-10
depuis mars 2025 = 2025-03-01..
avant-hier = 2026-08-10
hier soir = 2026-08-11
du 3 au 5 mars 2025 = 2025-03-03..2025-03-05
entre mars et mai 2025 = 2025-03-01..2025-05-31
de mars à mai 2025 = 2025-03-01..2025-05-31
début mars 2025 = 2025-03-01..2025-03-10
au premier trimestre 2025 = 2025-01-01..2025-03-31
l'été dernier = 2025-06-01..2025-08-31
l'an dernier = 2025-01-01..2025-12-31
le 1er mai 2025 = 2025-05-01
mars dernier = 2026-03-01..2026-03-31
ce matin = 2026-08-12
la semaine prochaine = 2026-08-17..2026-08-23
au cours des 2 dernières semaines = 2026-07-29..2026-08-12
jusqu'au 5 mai 2025 = ..2025-05-05
# Spanish
hace dos semanas = 2026-07-29
hace unos días = 2026-08-07..2026-08-10
los últimos 3 meses = 2026-05-12..2026-08-12
el lunes pasado = 2026-08-10
desde marzo de 2025 = 2025-03-01..
anteayer = 2026-08-10
pasado mañana = 2026-08-14
ayer por la mañana = 2026-08-11
del 3 al 5 de marzo de 2025 = 2025-03-03..2025-03-05
entre marzo y mayo de 2025 = 2025-03-01..2025-05-31
a finales de marzo de 2025 = 2025-03-21..2025-03-31
el primer trimestre de 2025 = 2025-01-01..2025-03-31
la semana que viene = 2026-08-17..2026-08-23
antes de 2024 = ..2023-12-31
# Italian
tre settimane fa = 2026-07-22
qualche giorno fa = 2026-08-07..2026-08-10
gli ultimi tre giorni = 2026-08-09..2026-08-12
lunedì scorso = 2026-08-10
da marzo 2025 = 2025-03-01..
l'altro ieri = 2026-08-10
dal 3 al 5 marzo 2025 = 2025-03-03..2025-03-05
tra marzo e maggio 2025 = 2025-03-01..2025-05-31
fine marzo 2025 = 2025-03-21..2025-03-31
ieri sera = 2026-08-11
prima di marzo 2025 = ..2025-02-28
estate 2024 = 2024-06-01..2024-08-31
# Portuguese
há duas semanas = 2026-07-29
há alguns dias = 2026-08-07..2026-08-10
nos últimos 3 dias = 2026-08-09..2026-08-12
na segunda-feira passada = 2026-08-10
semana passada = 2026-08-03..2026-08-09
reunião da semana passada = 2026-08-03..2026-08-09
anteontem = 2026-08-10
ontem à noite = 2026-08-11
de 3 a 5 de março de 2025 = 2025-03-03..2025-03-05
março de 2025 = 2025-03-01..2025-03-31
antes de março de 2025 = ..2025-02-28
mês que vem = 2026-09-01..2026-09-30
# Russian
две недели назад = 2026-07-29
неделю назад = 2026-08-05
полгода назад = 2026-02-12
за последние три дня = 2026-08-09..2026-08-12
в прошлый понедельник = 2026-08-10
в понедельник = 2026-08-10
с марта 2025 = 2025-03-01..
с 3 по 5 марта 2025 = 2025-03-03..2025-03-05
между мартом и маем 2025 = 2025-03-01..2025-05-31
до марта 2025 года = ..2025-02-28
в начале марта 2025 = 2025-03-01..2025-03-10
в первом квартале 2025 года = 2025-01-01..2025-03-31
в 2024 году = 2024-01-01..2024-12-31
летом 2024 = 2024-06-01..2024-08-31
через 3 дня = 2026-08-15
вчера вечером = 2026-08-11
# Chinese
上上周 = 2026-07-27..2026-08-02
上周五 = 2026-08-07
下周一 = 2026-08-17
去年五月 = 2025-05-01..2025-05-31
去年3月3日 = 2025-03-03
上个月3号 = 2026-07-03
2025年第三季度 = 2025-07-01..2025-09-30
去年下半年 = 2025-07-01..2025-12-31
三月上旬 = 2026-03-01..2026-03-10
去年年底 = 2025-09-01..2025-12-31
月底 = 2026-08-21..2026-08-31
从3月1日到3月5日 = 2026-03-01..2026-03-05
2025年3月到5月 = 2025-03-01..2025-05-31
昨天以前 = ..2026-08-10
三月以来 = 2026-03-01..
半年前 = 2026-02-12
一年半前 = 2025-02-12
好几天前 = 2026-08-07..2026-08-10
昨天晚上 = 2026-08-11
过去两周 = 2026-07-29..2026-08-12
二〇二五年三月 = 2025-03-01..2025-03-31
十五天前 = 2026-07-28
# Japanese
先週の月曜日 = 2026-08-03
先週 = 2026-08-03..2026-08-09
3日前 = 2026-08-09
2週間前 = 2026-07-29
3ヶ月前 = 2026-05-12
去年の5月 = 2025-05-01..2025-05-31
一昨日 = 2026-08-10
昨日の夜 = 2026-08-11
2025年3月から5月まで = 2025-03-01..2025-05-31
5月以降 = 2026-05-01..
今週末 = 2026-08-15..2026-08-16
来月 = 2026-09-01..2026-09-30
過去3日間 = 2026-08-09..2026-08-12
この3日間 = 2026-08-09..2026-08-12
# short and in digits
1mo ago = 2026-07-12
2w ago = 2026-07-29
5d ago = 2026-08-07
45 mins ago = 2026-08-12
last fri = 2026-08-07
on tue = 2026-08-11
Fri, 3 Apr 2026 = 2026-04-03
3/15/2024 = 2024-03-15
15/3/2024 = 2024-03-15
2024-W05 = 2024-01-29..2024-02-04
20240115 = 2024-01-15
2024-05 = 2024-05-01..2024-05-31
week 32 of 2025 = 2025-08-04..2025-08-10
the second of March 2025 = 2025-03-02
the day before yesterday = 2026-08-10
2 weekends ago = 2026-08-01..2026-08-02
a fortnight ago = 2026-07-29
during the 1990s = 1990-01-01..1999-12-31
on the Sunday before October 25, 2022 = 2022-10-23
the last weekend before April 10, 2023 = 2023-04-08..2023-04-09
in the second week of November = 2025-11-08..2025-11-14
I ate yesterday = 2026-08-11
it was fine last week = 2026-08-03..2026-08-09
did we start last week = 2026-08-03..2026-08-09
last mon = 2026-08-10
once last week = 2026-08-03..2026-08-09
retro 2025 = 2025-01-01..2025-12-31
roadmap for 2025 = 2025-01-01..2025-12-31
Oct. 2 to October 22 = 2025-10-02..2025-10-22
Sept. 2024 notes = 2024-09-01..2024-09-30
16. Nov. 2016 = 2016-11-16
janv. 2024 = 2024-01-01..2024-01-31
the week of November 30th = 2025-11-24..2025-11-30
week of 2026-05-05 = 2026-05-04..2026-05-10
last week from Wednesday to Friday = 2026-08-05..2026-08-07
the week after next = 2026-08-24..2026-08-30
2016 the third quarter = 2016-07-01..2016-09-30
11/2016 = 2016-11-01..2016-11-30
on the 22nd = 2026-07-22
what did we do on the 5th? = 2026-08-05
Friday the 7th = 2026-08-07
1 month 21 days ago = 2026-06-21
2 years and 1 month ago = 2024-07-12
two Fridays ago = 2026-07-31
twenty-one days ago = 2026-07-22
il y a vingt-deux jours = 2026-07-21
may the eleventh = 2026-05-11
on May twenty-first = 2026-05-21
Jan first = 2026-01-01
twenty second of June = 2026-06-22
am 28.10. war das = 2025-10-28
从一月十日到十二日 = 2026-01-10..2026-01-12
十月的第一周 = 2025-10-01..2025-10-07
nächstes Jahr im Sommer = 2027-06-01..2027-08-31
diese Woche Dienstag = 2026-08-11
2009年到2010年 = 2009-01-01..2010-12-31
"""
#: Asked on another Wednesday: 2025-11-19, 09:15 UTC.
NOVEMBER = int(datetime(2025, 11, 19, 9, 15, tzinfo=UTC).timestamp())
ASKED_IN_NOVEMBER = """
# English
what was decided during the sprint two months back = 2025-09-19
errors we saw 10 days ago = 2025-11-09
the refactor from Sept 2024 = 2024-09-01..2024-09-30
April 22, 2025 standup = 2025-04-22
on the 22nd of April 2025 = 2025-04-22
22/04/2025 deployment = 2025-04-22
log of 2025-07-04T08:30:00Z = 2025-07-04
last Thursday's retro = 2025-11-13
what did Ana say on Saturday night? = 2025-11-15
this past weekend = 2025-11-15..2025-11-16
previous month invoices = 2025-10-01..2025-10-31
over the last six weeks = 2025-10-08..2025-11-19
a couple of days back = 2025-11-16..2025-11-18
several weeks ago we broke CI = 2025-10-15..2025-11-05
everything since 1 October = 2025-10-01..
before February 2025 = ..2025-01-31
between June 10 and June 20, 2025 = 2025-06-10..2025-06-20
from Monday until today = 2025-11-17..2025-11-19
in Q2 of 2025 = 2025-04-01..2025-06-30
second half of October 2025 = 2025-10-16..2025-10-31
at the start of this year = 2025-01-01..2025-04-30
late August 2025 = 2025-08-21..2025-08-31
the day before yesterday in the evening = 2025-11-17
tomorrow's release plan = 2025-11-20
three quarters ago = 2025-02-19
an hour ago = 2025-11-19
in 2024 we used celery = 2024-01-01..2024-12-31
notes: March '24 = 2024-03-01..2024-03-31
# German
Was haben wir letzten Dienstag beschlossen? = 2025-11-18
vor vier Monaten = 2025-07-19
Protokoll vom 7. Oktober 2025 = 2025-10-07
im vergangenen Jahr = 2024-01-01..2024-12-31
seit gestern kaputt = 2025-11-18..
zwischen dem 3. und 9. Juni 2025 = 2025-06-03..2025-06-09
in den vergangenen zwei Wochen = 2025-11-05..2025-11-19
Mitte Juli 2025 = 2025-07-11..2025-07-20
vorigen Monat = 2025-10-01..2025-10-31
vor einigen Tagen = 2025-11-14..2025-11-17
am 24.12.2024 = 2024-12-24
diese Woche = 2025-11-17..2025-11-23
# French
ce qu'on a décidé vendredi dernier = 2025-11-14
il y a trois mois = 2025-08-19
le 14 juillet 2025 = 2025-07-14
pendant les deux dernières semaines = 2025-11-05..2025-11-19
depuis hier = 2025-11-18..
fin octobre 2025 = 2025-10-21..2025-10-31
l'année passée = 2024-01-01..2024-12-31
avant le 5 mai 2025 = ..2025-05-04
il y a quelques mois = 2025-06-22..2025-09-20
ce week-end = 2025-11-22..2025-11-23
# Spanish
qué rompimos el jueves pasado = 2025-11-13
hace seis meses = 2025-05-19
el 9 de junio de 2025 = 2025-06-09
durante las últimas tres semanas = 2025-10-29..2025-11-19
el trimestre pasado = 2025-07-01..2025-09-30
desde el lunes = 2025-11-17..
entre el 3 y el 9 de junio de 2025 = 2025-06-03..2025-06-09
a principios de octubre de 2025 = 2025-10-01..2025-10-10
hace un par de semanas = 2025-10-29..2025-11-12
# Italian
cosa abbiamo deciso martedì scorso = 2025-11-18
due mesi fa = 2025-09-19
il 2 giugno 2025 = 2025-06-02
negli ultimi dieci giorni = 2025-11-09..2025-11-19
l'anno passato = 2024-01-01..2024-12-31
da ieri = 2025-11-18..
alcune settimane fa = 2025-10-15..2025-11-05
il trimestre scorso = 2025-07-01..2025-09-30
# Portuguese
o que decidimos na quinta-feira passada = 2025-11-13
há três meses = 2025-08-19
25 de abril de 2025 = 2025-04-25
nas últimas duas semanas = 2025-11-05..2025-11-19
no ano passado = 2024-01-01..2024-12-31
desde ontem = 2025-11-18..
entre 3 e 9 de junho de 2025 = 2025-06-03..2025-06-09
no mês passado = 2025-10-01..2025-10-31
# Russian
что мы решили в прошлую пятницу = 2025-11-14
три месяца назад = 2025-08-19
встреча 9 мая 2025 года = 2025-05-09
за последние две недели = 2025-11-05..2025-11-19
с октября = 2025-10-01..
год назад = 2024-11-19
в конце октября 2025 = 2025-10-21..2025-10-31
на этой неделе = 2025-11-17..2025-11-23
между 3 и 9 июня 2025 = 2025-06-03..2025-06-09
# Chinese
六天前改了什么 = 2025-11-13
上周三的会议 = 2025-11-12
2025年6月9日 = 2025-06-09
最近两周 = 2025-11-05..2025-11-19
去年十月 = 2024-10-01..2024-10-31
上个季度 = 2025-07-01..2025-09-30
四个月前 = 2025-07-19
从6月3日到6月9日 = 2025-06-03..2025-06-09
昨天下午 = 2025-11-18
十月底 = 2025-10-21..2025-10-31
# Japanese
先週の金曜日に決めたこと = 2025-11-14
4日前 = 2025-11-15
2025年6月9日のメモ = 2025-06-09
過去2週間 = 2025-11-05..2025-11-19
昨年の10月 = 2024-10-01..2024-10-31
先月 = 2025-10-01..2025-10-31
"""
#: Asked on a Friday: 2027-03-05, 20:00 UTC.
MARCH = int(datetime(2027, 3, 5, 20, tzinfo=UTC).timestamp())
ASKED_IN_MARCH = """
# English
anything from the week of 15 February? = 2027-02-15..2027-02-21
who reviewed my PR on Feb. 11th = 2027-02-11
notes since the beginning of the year = 2027-01-01..
show me last quarter's incidents = 2026-10-01..2026-12-31
three and a half weeks ago = 2027-02-09
logs between last Monday and Wednesday = 2027-03-01..2027-03-03
in the first week of January = 2027-01-01..2027-01-07
early in 2026 = 2026-01-01..2026-04-30
mid February = 2027-02-11..2027-02-20
Thursday evening = 2027-03-04
2 Thursdays ago = 2027-02-25
as of yesterday = 2027-03-04
up until last month = ..2027-02-28
during the summer of 2025 = 2025-06-01..2025-08-31
over the past couple of months = 2026-12-05..2027-03-05
ten minutes ago = 2027-03-05
the 14th of last month = 2027-02-14
# German
Was lief vorgestern schief? = 2027-03-03
seit Anfang Februar = 2027-02-01..
bis Ende Februar = ..2027-02-28
vor anderthalb Jahren = 2025-09-05
heute früh = 2027-03-05
letztes Quartal = 2026-10-01..2026-12-31
am 3.2. besprochen = 2027-02-03
# French
la réunion d'avant-hier = 2027-03-03
au cours du mois dernier = 2027-02-01..2027-02-28
il y a une semaine = 2027-02-26
depuis le début de l'année = 2027-01-01..
dans deux semaines = 2027-03-19
l'hiver dernier = 2026-12-01..2027-02-28
# Spanish
lo que hablamos anteayer por la tarde = 2027-03-03
hace un año y medio = 2025-09-05
el pasado viernes = 2027-02-26
a mediados de febrero = 2027-02-11..2027-02-20
desde principios de año = 2027-01-01..
# Italian
la riunione di mercoledì = 2027-03-03
tre anni fa = 2024-03-05
il mese prossimo = 2027-04-01..2027-04-30
dall'inizio dell'anno = 2027-01-01..
# Portuguese
na sexta-feira passada = 2027-02-26
há um ano e meio = 2025-09-05
até ontem = ..2027-03-04
no início de fevereiro = 2027-02-01..2027-02-10
# Russian
позавчера вечером = 2027-03-03
в прошлом квартале = 2026-10-01..2026-12-31
с начала года = 2027-01-01..
полтора года назад = 2025-09-05
# Chinese
前天晚上 = 2027-03-03
上上个月 = 2027-01-01..2027-01-31
今年年初 = 2027-01-01..2027-04-30
过去半年 = 2026-09-05..2027-03-05
二月中旬 = 2027-02-11..2027-02-20
上个周末 = 2027-02-27..2027-02-28
自从去年十二月 = 2026-12-01..
# Japanese
おととい = 2027-03-03
今月の初め = 2027-03-01..2027-03-10
半年前 = 2026-09-05
2月1日から2月10日まで = 2027-02-01..2027-02-10
先々週 = 2027-02-15..2027-02-21
昨夜のエラー = 2027-03-04
"""
NO_TIMES = """
set retries to 3 and backoff to 2 seconds
rename may_fail to can_fail
the sun icon in the header
in the second half of the function
o que é isso
die Monatsansicht im Kalender
le mois est vide dans le calendrier
tag v2024.3.1 and push
HTTP 404 on /2024/report
это не работает
add a 'last modified' column
wait until the next tick
days, weeks and months as enum
every Monday we meet
2000 tokens
port 2019
error 2003
issue #2024
the 90s style
version 2.10
it may 10x performance
this may break
do me a favour
second try
at the second step
today.md
datetime.today()
monday.com board
CVE-2024-1234
10.0.2024.1
pip 24.1.2
step 3. May we go on?
5 may be enough
was ist hier passiert
am Morgen des Tests
por la mañana
Every year in August she goes
What did Marco say
set timeout to 2000
a 2000 character limit
from 1000 to 2000
fits in 2000 chars
这日志是什么
最近天气怎么样
这周围的代码
the first quarter of the file
an 2023 issue
on the 2nd try
vingt et un jours
it may first check
use version 2.10.
bump lodash to 4.17.21
may we merge this
port 8080 is already in use
see issue #1999
march through the array and do it
wait 30 seconds before retrying
retry after 5 minutes
the second argument of main()
increase ulimit to 2048
python 3.12 vs 3.11
set the font size to 12 pt
wie heißt hier die Funktion
a 7-day retention policy
week view of the calendar widget
这个按钮在上面
日程表组件
deploy to the sat environment
1999 messages in the queue
first of all, read the docs
"""


def cases(table: str) -> list[tuple[str, str]]:
    """The text and the days of each line."""
    lines = [line for line in table.splitlines() if line and not line.startswith("#")]
    return [(text, days) for text, _, days in (line.rpartition(" = ") for line in lines)]


def days_of(text: str, now: int) -> str:
    """The first time that a text names, as the tables write it."""
    found = time_ranges(text, now)
    if not found:
        return "none"
    start, end = found[0].resolved(now)
    first = "" if start is None else datetime.fromtimestamp(start, UTC).date().isoformat()
    last = "" if end is None else datetime.fromtimestamp(end - 1, UTC).date().isoformat()
    return first if first == last else f"{first}..{last}"


@pytest.mark.parametrize(("text", "days"), cases(ASKED_IN_AUGUST))
def test_a_time_asked_in_august_names_its_days(text: str, days: str) -> None:
    assert days_of(text, AUGUST) == days


@pytest.mark.parametrize(("text", "days"), cases(ASKED_IN_NOVEMBER))
def test_a_time_asked_in_november_names_its_days(text: str, days: str) -> None:
    assert days_of(text, NOVEMBER) == days


@pytest.mark.parametrize(("text", "days"), cases(ASKED_IN_MARCH))
def test_a_time_asked_in_march_names_its_days(text: str, days: str) -> None:
    assert days_of(text, MARCH) == days


@pytest.mark.parametrize("text", [line for line in NO_TIMES.splitlines() if line])
def test_ordinary_text_names_no_time(text: str) -> None:
    assert time_ranges(text, AUGUST) == ()
