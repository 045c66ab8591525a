"""Prompts of chat templates by transformers' own environment.

    python build.py        # transformers 4.57.6, jinja2 3.1.6; seconds

Writes `templates.json`: `conversations`, and `cases` with `template` and `answers`: `conversation` (an index), `generation`
(is the prompt of the answer added?) and `output`, or `error` where transformers refuses. The templates are written for this
file: FAMILIES in the manner of those that families of models come with, `lines.txt` one construct each.
"""
import json
import pathlib

from transformers.utils.chat_template_utils import _compile_jinja_template

HERE = pathlib.Path(__file__).parent
SPECIAL = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "additional_special_tokens": ["<tool>", "<|end|>"]}

CONVERSATIONS = [
    [{"role": "user", "content": "Hello"}],
    [{"role": "system", "content": " Be brief. <b>&'\"é日\n"}, {"role": "user", "content": "  Hello World \n"},
     {"role": "assistant", "content": "<think>\n1 < 2\n</think>\n\nYes & \tno"}, {"role": "user", "content": "bye\\n"}],
    [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}],
    [{"role": "assistant", "content": "I begin."}, {"role": "user", "content": ""}],
]

FAMILIES = [
    # ChatML, with a system message of its own.
    "{% for m in messages %}{% if loop.first and m['role'] != 'system' %}{{ '<|im_start|>system\\nYou help.<|im_end|>\\n' }}{% endif %}"
    "{{'<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>' + '\\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
    # [INST], alternation demanded.
    "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'] %}"
    "{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}{% for message in loop_messages %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Roles must alternate user/assistant') }}{% endif %}"
    "{% if loop.index0 == 0 and system_message != false %}{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}"
    "{% else %}{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}"
    "{% elif message['role'] == 'assistant' %}{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}",
    # [INST] with tools that may be none.
    """{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}
{%- set user_messages = loop_messages | selectattr("role", "equalto", "user") | list %}
{%- set ns = namespace(index=0) %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if tools is not none and (message == user_messages[-1]) %}
            {{- "[AVAILABLE_TOOLS] " + (tools | tojson) + "[/AVAILABLE_TOOLS]" }}
        {%- endif %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST] " + system_message + "\\n\\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST] " + message["content"] + "[/INST]" }}
        {%- endif %}
        {%- set ns.index = ns.index + 1 %}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"] + eos_token}}
    {%- else %}
        {{- raise_exception("Only user and assistant roles are supported, with the exception of an initial optional system message!") }}
    {%- endif %}
{%- endfor %}{{ ns.index }}""",
    # Headers, with a date given when there is none.
    """{{- bos_token }}
{%- if custom_tools is defined %}
    {%- set tools = custom_tools %}
{%- endif %}
{%- if not date_string is defined %}
    {%- set date_string = "26 Jul 2024" %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}

{#- This block extracts the system message. #}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}

{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{%- if builtin_tools is defined or tools is not none %}
    {{- "Environment: ipython\\n" }}
{%- endif %}
{{- "Today Date: " + date_string + "\\n\\n" }}
{{- system_message }}
{{- "<|eot_id|>" }}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
""",
    # Turns, no system.
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}{% for message in messages %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "{% if (message['role'] == 'assistant') %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}"
    "{{ '<start_of_turn>' + role + '\\n' + message['content'] | trim + '<end_of_turn>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{'<start_of_turn>model\\n'}}{% endif %}",
    # Thinking, stripped from earlier answers; a search from the end.
    """{%- if tools %}
    {{- '<|im_start|>system\\n' }}{%- for tool in tools %}{{ tool | tojson }}{% endfor %}
{%- else %}
    {%- if messages[0].role == 'system' %}
        {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
    {%- endif %}
{%- endif %}
{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step_tool and message.role == "user" and message.content is string and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
        {%- set ns.multi_step_tool = false %}
        {%- set ns.last_query_index = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.content is string %}
        {%- set content = message.content %}
    {%- else %}
        {%- set content = '' %}
    {%- endif %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {%- set reasoning_content = '' %}
        {%- if message.reasoning_content is string %}
            {%- set reasoning_content = message.reasoning_content %}
        {%- else %}
            {%- if '</think>' in content %}
                {%- set reasoning_content = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
                {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
            {%- endif %}
        {%- endif %}
        {%- if loop.index0 > ns.last_query_index %}
            {{- '<|im_start|>' + message.role + '\\n<think>\\n' + reasoning_content.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}
        {%- else %}
            {{- '<|im_start|>' + message.role + '\\n' + content }}
        {%- endif %}
        {%- if message.tool_calls %}
            {{- message.tool_calls | tojson }}
        {%- endif %}
        {{- '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}""",
    # <|user|> lines.
    "{% for message in messages %}\n{% if message['role'] == 'user' %}\n{{ '<|user|>\\n' + message['content'] + eos_token }}\n"
    "{% elif message['role'] == 'system' %}\n{{ '<|system|>\\n' + message['content'] + eos_token }}\n{% elif message['role'] == 'assistant' %}\n"
    "{{ '<|assistant|>\\n'  + message['content'] + eos_token }}\n{% endif %}\n{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}",
    # USER: … ASSISTANT:
    "{% if messages[0]['role'] == 'system' %}{{ messages[0]['content'] + '\\n\\n' }}{% endif %}{% for m in messages if m.role != 'system' %}"
    "{{ m.role | upper ~ ': ' ~ m.content | trim }}{{ eos_token if m.role == 'assistant' else ' ' }}{% endfor %}{{ 'ASSISTANT:' if add_generation_prompt }}",
    # ### Instruction
    "{{ bos_token }}{%- set found_item = false -%}{%- for message in messages -%}{%- if message['role'] == 'system' -%}{%- set found_item = true -%}{%- endif -%}{%- endfor -%}"
    "{%- if not found_item -%}{{'You are a programmer.\\n'}}{%- endif %}{%- for message in messages %}{%- if message['role'] == 'system' %}\n{{ message['content'] }}\n"
    "{%- else %}{%- if message['role'] == 'user' %}\n{{'### Instruction:\\n' + message['content'] + '\\n'}}{%- else %}\n{{'### Response:\\n' + message['content'] + '\\n<|EOT|>\\n'}}{%- endif %}{%- endif %}{%- endfor %}\n"
    "{% if add_generation_prompt %}{{'### Response:\\n'}}{% endif %}",
    # Documents and tools by tests of none.
    "{% if documents is not none %}{{ documents | tojson(indent=2) }}{% endif %}{% if tools is not none %}TOOLS{% endif %}{% for m in messages %}"
    "{{ '<|START_OF_TURN_TOKEN|>' }}{{ {'user': '<|USER_TOKEN|>', 'assistant': '<|CHATBOT_TOKEN|>', 'system': '<|SYSTEM_TOKEN|>'}[m.role] }}{{ m.content }}{{ '<|END_OF_TURN_TOKEN|>' }}{% endfor %}",
    # What the assistant wrote, marked for training.
    "{% for m in messages %}{% if m.role == 'assistant' %}<|assistant|>\n{% generation %}\n{{ m.content }}{{ eos_token }}\n{% endgeneration %}\n{% else %}<|{{ m.role }}|>\n{{ m.content }}\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{%- generation -%}  {%- endgeneration -%}{% endif %}",
    # printf.
    "{{ bos_token }}{% for m in messages %}{{ '%s: %s (%d of %d)\\n' % (m.role, m.content | tojson, loop.index, loop.length) }}{% endfor %}{{ '%(a)s|%(b)05.1f|%%' % {'a': eos_token, 'b': 2.25} }}",
    # Macros.
    "{% macro turn(role, text, end='<|end|>') -%}\n<|{{ role }}|>\n{{ text | trim }}{{ end }}\n{%- endmacro -%}\n{%- for m in messages -%}\n{{ turn(m.role, m.content) }}\n{{ '\\n' }}\n{%- endfor -%}\n{{ turn('assistant', '', end='') if add_generation_prompt }}",
    # Content that may be a list.
    "{% for message in messages %}{% if message.content is iterable and message.content is not string %}{% for part in message.content %}{{ part.text }}{% endfor %}"
    "{% elif message.content is mapping %}M{% else %}{{ message.role[0] | upper }}{{ message.content }}{% endif %}{{ '' if loop.last else '\\n---\\n' }}{% endfor %}",
    # Loop controls.
    "{% for m in messages %}{% if m.role == 'system' %}{% continue %}{% endif %}{% if loop.index > 3 %}{% break %}{% endif %}[{{ m.role }}]{{ m.content }}{% endfor %}",
    # The whole message as JSON.
    "{% for m in messages %}{{ m | tojson }}\n{{ m | tojson(indent=4) }}{% for key, value in m.items() %} {{ key }}={{ value | tojson(ensure_ascii=true) }}{% endfor %}\n{% endfor %}",
    # Names, capitals and colons.
    "{% for m in messages %}{{ m['role'].capitalize() }}: {{ m['content'].strip().replace('\\n', ' ') }}{% if not loop.last %}{{ '\\n\\n' }}{% endif %}{% endfor %}{% if add_generation_prompt and messages[-1]['role'] != 'assistant' %}{{ '\\n\\nAssistant:' }}{% endif %}",
    # Windows line ends, blocks alone on lines, comments.
    "{#- head -#}\r\n{% for m in messages %}\r\n    {# of the turn #}\r\n    {%- if m.role in ['user', 'assistant'] %}\r\n<{{ m.role }}>\r\n{{ m.content }}\r\n    {% endif %}\r\n{% endfor %}\r\nend\r\n",
    # Special tokens by name, and those that there are not.
    "{{ bos_token }}{{ unk_token }}{{ pad_token }}{{ additional_special_tokens | join(',') }}{{ 'P' if pad_token is defined else 'no pad' }}{% if cls_token %}C{% endif %}{% for m in messages %}{{ m.content }}{{ m.name | default('nobody') }}{% endfor %}",
    # Filters in chains.
    "{{ messages | map(attribute='role') | unique | list }}{{ messages | rejectattr('role', 'eq', 'system') | map(attribute='content') | map('trim') | select | join(' | ') }}{{ (messages | last).role }}{{ messages | length }}",
    # A block that is set, and a filter around text.
    "{% set head %}\n  Date: {{ none }} {{ true }} {{ 1.0 }} {{ [1, 'a', none] }}\n{% endset %}{{ head | trim }}{% filter upper %}{{ messages[0].role }}{% endfilter %}{% with x = 2 %}{{ x ** 3 // 3 % 2 }}{% endwith %}",
]

LINES = (HERE / "lines.txt").read_text().split("\n====\n")


def answer(template, index, generation):
    values = dict(messages=CONVERSATIONS[index], tools=None, documents=None, add_generation_prompt=generation, **SPECIAL)
    found = {"conversation": index, "generation": generation}
    try:
        found["output"] = _compile_jinja_template(template).render(**values)
    except Exception as error:
        found["error"] = f"{type(error).__name__}: {error}"
    return found


every = [(index, generation) for index in range(len(CONVERSATIONS)) for generation in (True, False)]
cases = [{"template": t, "answers": [answer(t, *asked) for asked in every]} for t in FAMILIES]
cases += [{"template": t, "answers": [answer(t, 1, True)]} for t in LINES]
data = {"special": SPECIAL, "conversations": CONVERSATIONS, "cases": cases}
(HERE / "templates.json").write_text(json.dumps(data, ensure_ascii=False, separators=(",", ":")) + "\n")
