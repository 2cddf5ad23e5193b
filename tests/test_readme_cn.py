"""README_CN.md says what README.md says: the same commands, links, names and numbers."""

import re

from support.pages import REPO, blocks

ENGLISH, CHINESE = 'README.md', 'README_CN.md'


def prose(page):
    """A page without its blocks and the line that links the other language."""
    text = re.sub(r'^```(.*\n)*?```$', '', (REPO / page).read_text(), flags=re.MULTILINE)
    return re.sub(r'^.*简体中文.*$', '', text, flags=re.MULTILINE)


def commands(page):
    """The blocks of a page, without the comments, which are translated."""
    return [(b.language, re.sub(r' +# .*', '', b.text)) for b in blocks(page)]


def rows(page):
    """Of each row of each table, how many cells it has and what it names."""
    lines = re.findall(r'^\|.*\|$', prose(page), re.MULTILINE)
    return [(line.count('|'), sorted(re.findall(r'`[^`]+`', line))) for line in lines]


def first_names(page):
    """What the first cells of the rows name, in their order."""
    cells = re.findall(r'^\|(.*?)\|', prose(page), re.MULTILINE)
    return [re.findall(r'`[^`]+`', cell) for cell in cells]


def test_each_page_links_the_other():
    assert f'English | [简体中文]({CHINESE})' in (REPO / ENGLISH).read_text()
    assert f'[English]({ENGLISH}) | 简体中文' in (REPO / CHINESE).read_text()


def test_the_commands_are_the_same():
    assert commands(CHINESE) == commands(ENGLISH)


def test_the_tables_have_the_same_rows_of_the_same_names():
    assert rows(CHINESE) == rows(ENGLISH)
    assert first_names(CHINESE) == first_names(ENGLISH)


def test_the_links_lead_to_the_same_pages_in_the_same_order():
    links = r'\]\(([^)\s]+)\)'
    assert re.findall(links, prose(CHINESE)) == re.findall(links, prose(ENGLISH))


def test_the_sections_and_what_they_name_are_the_same():
    def sections(page):
        parts = re.split(r'^(#+) .*$', prose(page), flags=re.MULTILINE)[1:]
        return [
            (level, sorted(re.findall(r'`[^`]+`', text)))
            for level, text in zip(parts[::2], parts[1::2])
        ]

    assert sections(CHINESE) == sections(ENGLISH)


def test_the_numbers_are_the_same():
    numbers = r'\d+(?:\.\d+)*'
    assert sorted(re.findall(numbers, prose(CHINESE))) == sorted(
        re.findall(numbers, prose(ENGLISH))
    )


def test_the_page_is_in_chinese():
    for row in re.findall(r'^\|.*\|$', prose(CHINESE), re.MULTILINE):
        assert re.search(r'[\u4e00-\u9fff]', row) or set(row) <= set('|- '), row
