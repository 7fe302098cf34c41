"""Every word of the page in Chinese, by what it is in English (see translations.py)."""

from __future__ import annotations

CHINESE = {
    # The header and the tabs
    "from {source}": "来自 {source}",
    "Loaded model": "已加载的模型",
    "Error": "错误",
    "{size} parameters": "{size} 参数",
    ", {size} active": "，激活 {size}",
    "{tokens:,} tokens of context": "上下文 {tokens:,} 词元",
    "A toy model: coloured shapes, printed English, simple charts and screens. No photographs, no other language.": (
        "玩具模型：只懂彩色图形、印刷体英文、简单的图表和界面；不懂照片，也不懂其他语言。"
    ),
    # While weights are on their way
    "The model's weights are being downloaded.": "正在下载模型权重。",
    "What was downloaded is being checked.": "正在校验下载的文件。",
    "The model's weights are being read into memory.": "正在将模型权重读入内存。",
    "{done:.2f} of {total:.2f} GB": "{done:.2f} / {total:.2f} GB",
    ", about {seconds:.0f} s left": "，约剩 {seconds:.0f} 秒",
    ", about {minutes:.0f} min left": "，约剩 {minutes:.0f} 分钟",
    "{words}.": "{words}。",
    "You may ask already; answers begin once the model is there.": "现在即可提问；模型就绪后开始回答。",
    "Loading": "加载中",
    "Chat": "对话",
    "Grounding": "定位",
    "Tiles": "切片",
    # Chat
    "Conversation": "对话",
    "Message": "消息",
    "Ask about your pictures": "就图片提问",
    "Boxes are drawn on picture": "在哪张图片上画框",
    "as the answer says": "按回答所说",
    "The model does not say which one; this is the last.": "模型没有说明是哪张图片，这里用的是最后一张。",
    "Cancel editing": "取消编辑",
    "Drop the oldest turn": "去掉最早的一轮",
    "Bring the conversation back": "恢复之前的对话",
    "Bring {name} back": "恢复 {name}",
    "Bring {number:,} documents back": "恢复 {number:,} 个文档",
    "Bring {number:,} pictures back": "恢复 {number:,} 张图片",
    "Earlier conversations": "以前的对话",
    "Search": "搜索",
    "Keep conversations in this browser": "在此浏览器中保存对话",
    "Forget all": "全部删除",
    "New conversation": "新对话",
    "Rename": "重命名",
    "under 0.01%": "不到 0.01%",
    "Open": "打开",
    "Delete": "删除",
    "None yet. They stay in this browser alone.": "还没有。对话只保存在此浏览器中。",
    "Forget every conversation that this browser keeps?": "删除此浏览器保存的所有对话？",
    "Undo from here": "撤回到这里",
    "Export": "导出",
    "Import": "导入",
    "Markdown": "Markdown",
    "Download": "下载",
    (
        '<div class="welcome"><h2>Ask about your pictures</h2>'
        "<p>Drop, paste or attach pictures, documents or clips, then type a question.<br>"
        "Write <code>&lt;image&gt;</code> in the text to say where the next picture goes, "
        "and <code>&lt;|ref|&gt;the dog&lt;|/ref|&gt;</code> for a box around what you name.</p></div>"
    ): (
        '<div class="welcome"><h2>就图片提问</h2><p>拖入、粘贴或添加图片、文档或视频片段，然后输入问题。<br>'
        "在文字中写 <code>&lt;image&gt;</code> 表示下一张图片的位置，"
        "写 <code>&lt;|ref|&gt;狗&lt;|/ref|&gt;</code> 可框出所指的物体。</p></div>"
    ),
    # Examples
    "What do you see?": "你看到了什么？",
    "Tell me the number of blue stars.": "有多少颗蓝色的星星？",
    "How much is the total?": "总额是多少？",
    "What is the Jan for Delhi?": "Delhi 的 Jan 是多少？",
    "What is entered for date?": "日期填的是什么？",
    "What bar is the highest?": "哪根柱子最高？",
    "What is the value of Cairo?": "Cairo 的值是多少？",
    "Which image contains an orange circle?": "哪张图片里有橙色的圆？",
    "Find the difference.": "找出不同之处。",
    "Find another of the marked kind.": "查找与标出物体同类的物体。",
    "Find the black triangle.": "查找黑色三角形。",
    "Find all yellow shapes.": "查找所有黄色图形。",
    "Describe this picture with boxes.": "带框描述这张图片。",
    "The black triangle": "黑色三角形",
    "The yellow shapes": "黄色图形",
    "All yellow shapes": "所有黄色图形",
    'the word "Escape"': "单词“Escape”",
    "menu icon": "菜单图标",
    "blue stars": "蓝色星星",
    "A star like the marked one": "与标出的相同的星星",
    "Picture {number}": "图片 {number}",
    "page {number}": "第 {number} 页",
    "frame {number}": "第 {number} 帧",
    "still {number}": "第 {number} 张画面",
    # Documents
    "Documents": "文档",
    "Add a PDF, scans or pictures: they are read page by page, and what was read is written as a file.": (
        "添加 PDF、扫描件或图片：逐页读取，读出的内容可保存为文件。"
    ),
    "Press Read: page and text appear here, side by side.": "点“开始读”：页面和文字会并排显示在这里。",
    "Press Read: page and text appear here, side by side. Or use the text that the PDF holds itself, at once.": (
        "点“开始读”：页面和文字会并排显示在这里。也可以直接使用 PDF 自带的文字。"
    ),
    "{words} is not read yet.": "{words}还没有读取。",
    "Reading has begun.": "已开始读取。",
    "Which text is shown and saved": "显示和保存哪种文字",
    "The model's text": "模型读出的文字",
    "The PDF's own text": "PDF 自带的文字",
    "Use the PDF's text": "使用 PDF 自带的文字",
    "{words} has no text of its own: it is a scan or a picture.": "{words}没有自带的文字：它是扫描件或图片。",
    "The bundled toy model often misreads documents: compare its text with the page.": (
        "随附的玩具模型常常读错文档：请将文字与页面对照。"
    ),
    "Questions answered since the start: {number:,}": "启动以来已回答的问题：{number:,}",
    "The bundled toy model reads English alone: its answer to this question is a guess. Ask in English.": (
        "随附的玩具模型只懂英语：它对这个问题的回答只是猜测，请用英语提问。"
    ),
    "What to do with each page": "对每一页做什么",
    "Read everything": "读出全部文字",
    "As Markdown": "转为 Markdown",
    "Tables as CSV": "表格转为 CSV",
    "Figures with boxes": "带框描述图表",
    "Translate into English": "译成英文",
    "Translate into Chinese": "译成中文",
    "My own question": "自己提问",
    "What is the invoice number?": "发票号码是多少？",
    "Read": "开始读",
    "Page": "页",
    "Frame": "帧",
    "Still": "画面",
    "Text": "纯文本",
    "Searchable PDF": "可搜索的 PDF",
    "JSON": "JSON",
    "CSV": "CSV",
    "All {total:,} pages are read.": "全部 {total:,} 页已读完。",
    "All {total:,} frames are read.": "全部 {total:,} 帧已读完。",
    "All {total:,} stills are read.": "全部 {total:,} 张画面已读完。",
    "All {total:,} are read.": "全部 {total:,} 项已读完。",
    "{number:,} reached the limit of new tokens.": "其中 {number:,} 个达到词元上限而停止。",
    "{number:,} began to repeat themselves and were ended there.": "其中 {number:,} 个开始重复，已在该处停止。",
    "{done:,} of {total:,} pages are read": "已读 {done:,} / {total:,} 页",
    "{done:,} of {total:,} frames are read": "已读 {done:,} / {total:,} 帧",
    "{done:,} of {total:,} stills are read": "已读 {done:,} / {total:,} 张画面",
    "{done:,} of {total:,} are read": "已读 {done:,} / {total:,} 项",
    "{words}; Read goes on from there.": "{words}；点“开始读”可继续。",
    # Pages of documents
    "Open a PDF, TIFF, GIF or clip": "打开 PDF、TIFF、GIF 或视频片段",
    "{name}: {count} stills of {seconds:.1f} s": "{name}：{seconds:.1f} 秒中的 {count} 张画面",
    "The model sees these stills one by one, neither motion nor sound.": (
        "模型逐帧看这些静止画面，看不到动作，也听不到声音。"
    ),
    "To be read: {words}": "要读取：{words}",
    "Pages": "页码",
    "{name}: {count:,} pages": "{name}：共 {count:,} 页",
    "{name}: {count:,} frames": "{name}：共 {count:,} 帧",
    "Frames": "帧号",
    "Stills": "画面号",
    "Only the one that is chosen is searched.": "只在选定的这一个中查找。",
    "The model sees the chosen frames one by one, and no motion.": "模型逐帧看选定的画面，看不到动作。",
    "Type the numbers of later ones.": "更后面的请直接输入号码。",
    "Boxes": "框",
    "Boxes on picture {number}": "图片 {number} 上的框",
    "The model had nothing to say.": "模型没有回答。",
    "Stopped before its first word.": "在写出第一个词之前已停止。",
    "No longer sent to the model": "不再发送给模型",
    # While an answer is written, and under it
    "Starting": "正在开始",
    "Waiting": "等待",
    "Waiting: number {done:,} of {total:,}": "排队中：第 {done:,} 位，共 {total:,} 位",
    "Looking at the pictures: tile {done:,} of {total:,}": "正在看图：切片 {done:,} / {total:,}",
    "Reading: {done:,} of {total:,} tokens": "正在阅读：词元 {done:,} / {total:,}",
    "Answering": "正在回答",
    "for other requests": "其他请求",
    "Pictures": "图片",
    "Prompt": "提示",
    "Server": "服务器",
    "until its first token": "直到第一个词元",
    "Answer": "回答",
    "{speed} tokens/s": "{speed} 词元/秒",
    "{seconds:.1f} s in all": "共 {seconds:.1f} 秒",
    "under 0.1 s in all": "共不到 0.1 秒",
    "{seconds:.2f} s": "{seconds:.2f} 秒",
    "stopped at this server's limit of time": "已达到此服务器的时间上限",
    "stopped at the limit of new tokens": "达到词元上限而停止",
    "stopped because the context is full": "上下文已满而停止",
    "stopped: it repeated itself": "开始重复而停止",
    "stopped": "已停止",
    ", {merged:,} more alike": "，另有 {merged:,} 个相同",
    "From the cache": "取自缓存",
    "KV cache": "KV 缓存",
    "{number:,} token": "{number:,} 个词元",
    "{number:,} tokens": "{number:,} 个词元",
    "{number:,} tile": "{number:,} 个切片",
    "{number:,} tiles": "{number:,} 个切片",
    "{number:,} box": "{number:,} 个框",
    "{number:,} boxes": "{number:,} 个框",
    # What a message costs
    "Text {tokens:,}": "文字 {tokens:,}",
    "Picture {number} ({columns} × {rows} tiles) {tokens:,}": "图片 {number}（{columns} × {rows} 切片）{tokens:,}",
    "{used:,} tokens of {context:,}": "{used:,} / {context:,} 词元",
    "{room:,} left for the answer": "留给回答 {room:,}",
    "{excess:,} too many": "超出 {excess:,}",
    "With a third picture every picture of the conversation is a single tile, the earlier ones too.": (
        "加入第三张图片后，对话中的每张图片（包括之前的）都只有一个切片。"
    ),
    "There is no picture for an <image> in the text, which goes to the model as that word.": (
        "文字中的 <image> 没有对应的图片，将按原文交给模型。"
    ),
    "The conversation is full: drop its oldest turn, shorten the message or remove a picture.": (
        "对话已满：去掉最早的一轮、缩短消息或移除一张图片。"
    ),
    # Its settings
    "How to answer": "回答方式",
    "Raw": "原文",
    "Show answers to the letter, special tokens and all": "逐字显示回答，包括特殊标记",
    "Preset": "预设",
    "Reset all": "全部重置",
    "Precise": "精确",
    "Balanced": "均衡",
    "Creative": "创意",
    "Temperature": "温度",
    "0 always takes the likeliest token": "0 总是取最可能的词元",
    "Top-p": "Top-p",
    "Share of likely tokens to choose from": "从累计概率达到此值的词元中选择",
    "Repetition penalty": "重复惩罚",
    "Above 1 avoids repeating; harms numbers": "大于 1 可减少重复，但有损数字",
    "New tokens at most": "最多生成词元数",
    "Limit of the answer": "回答的上限",
    "Seed": "随机种子",
    "random": "随机",
    "The same seed repeats an answer": "相同的种子得到相同的回答",
    "System prompt": "系统提示",
    "Said to the model before the first question; the released models were trained without one": (
        "在第一个问题之前告诉模型；已发布的模型训练时没有系统提示"
    ),
    "Cut pictures into tiles": "把图片切成切片",
    "Automatic: with at most two pictures in the conversation": "自动：对话中最多两张图片时",
    "Automatic": "自动",
    "Always": "总是",
    "Never": "从不",
    "Tiles at most": "最多切片数",
    "Per picture; fewer tokens, less detail": "每张图片；越少词元越少，细节也越少",
    # Grounding
    "Find a phrase": "查找短语",
    "Find all": "查找全部",
    "Describe with boxes": "带框描述",
    "Point at": "指出",
    "Count": "计数",
    "The one thing that a phrase describes; several phrases with ; between": "短语所描述的那一个；多个短语用 ; 隔开",
    "Everything that a phrase fits; several phrases with ; between": "所有符合短语的物体；多个短语用 ; 隔开",
    "An answer in words, with a box for each thing that it names": "用文字回答，并框出其中提到的每个物体",
    "A point in the middle of everything that a phrase fits": "在每个符合短语的物体中心标一个点",
    "How many there are, by a box around each": "给出数量，并框出每一个",
    "Correct by hand": "手工修正",
    "The boxes, larger": "放大查看框",
    "Find in the picture": "在图片中查找",
    "Its tiles": "它的切片",
    "Drag a box, its handles, or the picture to draw one; arrow keys move a box, Shift + arrow keys size it.": (
        "拖动框可移动，拖动控点可改变大小，在图片上拖动可画新框；方向键移动框，Shift + 方向键改变大小。"
    ),
    "Delete the box": "删除该框",
    "Bring your boxes back: {boxes}, {name}": "恢复手工修正的框：{name}，{boxes}",
    "Discard them": "放弃这些框",
    "Picture (PNG)": "图片（PNG）",
    "The picture with its boxes drawn in it": "画上了框的图片",
    "All there is: boxes in pixels and in 0..999, their notes, and the answer as the model wrote it": (
        "全部内容：以像素和 0..999 表示的框、备注，以及模型的原始回答"
    ),
    "Spreadsheet (CSV)": "表格（CSV）",
    "A row for each box: its label, its corners in pixels and in 0..999, its notes": (
        "每个框一行：标签、以像素和 0..999 表示的角点、备注"
    ),
    "COCO (JSON)": "COCO（JSON）",
    "Picture, categories and boxes in COCO's format, which trains and measures detectors": (
        "COCO 格式的图片、类别和框，可用于训练和评测检测模型"
    ),
    "YOLO labels (TXT)": "YOLO 标注（TXT）",
    "A line for each box: the number of its class, its centre and size in shares": (
        "每个框一行：类别编号，以及按图片边长比例表示的中心和大小"
    ),
    "YOLO classes (YAML)": "YOLO 类别（YAML）",
    "The names of the classes that YOLO's labels have numbers for: data.yaml": (
        "YOLO 标注中各类别编号的名称：data.yaml"
    ),
    "YOLO data set (ZIP)": "YOLO 数据集（ZIP）",
    "Every picture that you searched, with labels and data.yaml, to train YOLO with": (
        "你查找过的所有图片及其标注和 data.yaml，可直接训练 YOLO"
    ),
    "Label Studio task (JSON)": "Label Studio 任务（JSON）",
    "Picture and boxes, to be imported into a project of Label Studio": "图片和框，可导入 Label Studio 项目",
    "Label Studio interface (XML)": "Label Studio 界面（XML）",
    "The labelling interface that its project needs: the labels, in their colours": (
        "该项目所需的标注界面：各标签及其颜色"
    ),
    "As the model found them": "恢复模型的结果",
    "by hand": "手工",
    "{number:,} by hand": "其中 {number:,} 个为手工",
    "Corners in 0..999, and the centre in pixels from left and top. Point at a row or a point to see both.": (
        "角点以 0..999 表示，中心以距左边和上边的像素表示。指向一行或一个点即可看到对应的另一个。"
    ),
    "Find what I mark": "查找我标出的物体",
    "What to do": "要做什么",
    "Example": "示例",
    "Examples": "示例",
    "Picture": "图片",
    "Well-formed boxes only": "只允许完整的框",
    "A box that the model begins is written whole, with any words around it; off, a box may break off": (
        "模型开始写的框必定写完整；框以外的文字由它自定。关闭后框可能残缺"
    ),
    "Find": "查找",
    "Describe": "描述",
    "Stop": "停止",
    "Phrase": "短语",
    "Question": "问题",
    "Describe this picture.": "描述这张图片。",
    "the dog on the left": "左边的狗",
    "dogs": "狗",
    "the black triangle": "the black triangle",  # nano reads English alone
    "yellow shapes": "yellow shapes",
    "Nothing found": "没有找到",
    "Choose a picture and say what to look for: its boxes appear here.": "选择一张图片并说明要找什么：框会显示在这里。",
    "The answer as the model wrote it": "模型的原始回答",
    "At character {place:,}": "第 {place:,} 个字符",
    "and {more:,} more": "以及另外 {more:,} 处",
    "Parts of the answer are not well-formed boxes:": "回答中有些部分不是完整的框：",
    "Drag a rectangle around the thing, or type its edges in pixels.": "用矩形框住物体，或输入其边缘的像素值。",
    "The example picture": "示例图片",
    "Another picture": "换一张图片",
    "Left": "左",
    "Top": "上",
    "Right": "右",
    "Bottom": "下",
    "Boxes on the picture": "图片上的框",
    "The picture that was searched": "被查找的图片",
    "Full screen": "全屏",
    "Box {number}": "框 {number}",
    "unnamed": "未命名",
    "Label": "标签",
    "Pixels": "像素",
    "Notes": "备注",
    "Corners in 0..999, and in pixels as left, top, right, bottom. Point at a row or a box to see the other.": (
        "角点以 0..999 表示，像素依次为左、上、右、下。指向一行或一个框即可看到对应的另一个。"
    ),
    # Tiles
    "Add a picture to see which grid is chosen for it, the tiles as the model gets them, and the tokens that they "
    "become.": "添加一张图片，查看为它选择的网格、模型得到的切片以及它们变成的词元。",
    "Picture to look at": "查看的图片",
    "Pictures in the conversation": "对话中的图片数",
    "With more than two, each of them is a single tile": "多于两张时，每张只有一个切片",
    "What if": "假设",
    "Picture's width": "图片宽度",
    "Picture's height": "图片高度",
    "px; 0 is its own": "像素；0 为原尺寸",
    "Released models' tiles of 384 px": "已发布模型的 384 像素切片",
    "Chosen grid": "选定的网格",
    "What the model gets": "模型得到的内容",
    "All grids that the model knows, best first": "模型已知的所有网格，最佳在前",
    "The {number} grids that the limit of tiles allows, best first": "切片上限允许的 {number} 种网格，最佳在前",
    "The grid that is used, then all others that are allowed, best first": (
        "先是所用的网格，然后是允许的其他网格，最佳在前"
    ),
    "Kept, or effective, are at most as many px as the picture has; all else of the canvas is wasted: its padding, and "
    "what enlarging the picture adds.": (
        "保留（有效）的像素最多与图片原有的一样多；画布的其余部分都算浪费：填充，以及放大图片所增加的像素。"
    ),
    " (chosen)": "（选定）",
    "Rank": "排名",
    "Grid": "网格",
    "Canvas px": "画布像素",
    "Scale": "缩放",
    "Effective px": "有效像素",
    "Wasted px": "浪费像素",
    "tokens, {share:.0%} of {model}'s context": "个词元，占 {model} 上下文的 {share:.0%}",
    "; all {number} pictures {total:,}, {share:.0%}": "；全部 {number} 张图片 {total:,}，{share:.0%}",
    "grid of tiles, columns by rows; and the global view": "切片网格（列 × 行），另加全局视图",
    "from {width:,} × {height:,} px to {across:,} × {down:,} px": (
        "从 {width:,} × {height:,} 像素到 {across:,} × {down:,} 像素"
    ),
    "padding, {padding:,} of {width:,} × {height:,} px": "填充，占 {width:,} × {height:,} 像素中的 {padding:,}",
    "Why {grid}?": "为什么是 {grid}？",
    "With more than two pictures in the conversation, every picture is a single tile.": (
        "对话中多于两张图片时，每张图片只有一个切片。"
    ),
    "It is the only grid that is allowed.": "它是唯一允许的网格。",
    "It keeps {kept:,} px of the picture, more than any other grid; {second} comes next with {less:,}.": (
        "它保留图片的 {kept:,} 像素，多于任何其他网格；其次是 {second}，保留 {less:,}。"
    ),
    "It keeps {kept:,} px of the picture, as {second} does, and wastes less: {wasted:,} px of its canvas, "
    "against {more:,}.": (
        "它与 {second} 一样保留图片的 {kept:,} 像素，但浪费更少：画布的 {wasted:,} 像素，而后者为 {more:,}。"
    ),
    "It keeps {kept:,} px of the picture, as {number} other grids do, and of these wastes the least: "
    "{wasted:,} px of its canvas, against {more:,} for {second}.": (
        "它与另外 {number} 个网格一样保留图片的 {kept:,} 像素，其中浪费最少：画布的 {wasted:,} 像素，"
        "而 {second} 为 {more:,}。"
    ),
    "It keeps {kept:,} px of the picture and wastes {wasted:,} px, just as {second}; "
    "it comes first in the model's list.": (
        "它与 {second} 一样保留 {kept:,} 像素、浪费 {wasted:,} 像素，但在模型的列表中排在前面。"
    ),
    "What this picture costs the released models": "这张图片在已发布模型上的开销",
    "What these {number} pictures cost the released models together": "这 {number} 张图片在已发布模型上的总开销",
    "Model": "模型",
    "Tokens": "词元",
    "with plain attention": "普通注意力",
    "Vision": "视觉",
    "That is {excess:,} tokens too many to leave room for an answer.": "超出 {excess:,} 个词元，没有留给回答的空间。",
    "KV cache in bfloat16: small and base keep a latent per token, where plain attention would keep every head's keys "
    "and values; tiny has plain attention.": (
        "KV 缓存按 bfloat16 计：small 和 base 每个词元只保存一个潜在向量，而普通注意力要保存每个头的键和值；"
        "tiny 使用普通注意力。"
    ),
    "Global view": "全局视图",
    "Separator": "分隔符",
    "newline": "换行",
    "separator": "分隔符",
    "Token": "词元",
    "token {first:,}": "词元 {first:,}",
    "tokens {first:,} to {last:,}: {rows} rows of {columns} and a newline": (
        "词元 {first:,} 至 {last:,}：{rows} 行，每行 {columns} 个和一个换行"
    ),
    "The {tokens:,} tokens in order": "按顺序排列的 {tokens:,} 个词元",
    "Point at the strip, at a tile or at the global view.": "指向色带、切片或全局视图。",
    "What the model gets: the global view, then the tiles row by row": "模型得到的内容：先是全局视图，然后逐行的切片",
    ", row {row}, column {column}": "，第 {row} 行，第 {column} 列",
    ", padding alone": "，只有填充",
    "Tile {tile}": "切片 {tile}",
    "Tiles of the picture": "图片的切片",
    "Token *: *": "词元 *：*",
    "*: * tokens in * rows, from * to *": "*：* 个词元，共 * 行，从 * 到 *",
    # Inside view
    "Inside view": "内部视图",
    "Ask something about the pictures above. Afterwards, look inside: what each word of the answer attended to, "
    "which experts worked, which tiles were encoded once.": (
        "就上面的图片提问，然后查看内部：回答中的每个词关注了什么、哪些专家参与了工作、哪些切片只编码了一次。"
    ),
    "What is in the picture?": "图片里有什么？",
    "Ask": "提问",
    "Look inside": "查看内部",
    "Look inside: one more pass over {tokens:,} tokens, about {seconds:.1f} s and {megabytes:,.1f} MB": (
        "查看内部：再处理一遍 {tokens:,} 个词元，约 {seconds:.1f} 秒和 {megabytes:,.1f} MB"
    ),
    "Look inside: one more pass over {tokens:,} tokens, about {megabytes:,.1f} MB": (
        "查看内部：再处理一遍 {tokens:,} 个词元，约 {megabytes:,.1f} MB"
    ),
    "Show me around": "带我看看",
    "Tour": "导览",
    "Back": "上一步",
    "Next": "下一步",
    "End the tour": "结束导览",
    "The model sees a picture twice: whole, as the global view, and larger, cut into tiles; here {tiles} of them. The "
    "white lines are their edges.": (
        "模型看图片两遍：一遍是整体（全局视图），一遍放大后切成切片，此处为 {tiles} 个。白线是切片的边缘。"
    ),
    "Each tile becomes tokens, one for each small square: {tokens:,} for this picture. They stand in the prompt where "
    "the mark ▦ is, before the words of the question.": (
        "每个切片变成词元，每个小方格一个：这张图片共 {tokens:,} 个。它们在提示中位于 ▦ 处，在问题的文字之前。"
    ),
    "The answer is written token by token. Choose one: the brighter a square of the picture, the more the model looked "
    "there. Tinted ones were unsure; pointing at one tells what else it might have been.": (
        "回答是逐词元写出的。选择一个：图片的方格越亮，模型看那里越多。着色的词元把握较小；指向它可看到其他可能。"
    ),
    "In nearly every layer a router sends each token to {active} of {experts} experts. A square has the colour of its "
    "first one: slide through the layers to see which experts take shapes, ground or words.": (
        "几乎每一层都有路由器把每个词元送到 {experts} 个专家中的 {active} 个。方格的颜色代表其首选专家：滑动各层，"
        "看看哪些专家处理形状、背景或文字。"
    ),
    "A box is four numbers from 0 to 999, written as tokens like any word. An edge is sharp where the model was sure "
    "of it, and soft where it was not.": (
        "框是四个 0 到 999 的数，像词一样写成词元。模型有把握的边清晰，没把握的边模糊。"
    ),
    "Layer": "层",
    "Answer, token by token": "逐词元的回答",
    "Picture {number}: {tile}": "图片 {number}：{tile}",
    "Begin token": "起始词元",
    "Text of the prompt": "提示文字",
    "Answer so far": "已写的回答",
    "Where the model looked when it chose": "模型选择此词元时看向哪里：",
    "{share} went to places in the picture, brightness being the square root of the weight; what else went to the "
    "picture is on its newlines, its separator and padding.": (
        "{share} 落在图片中的位置，亮度为权重的平方根；图片得到的其余部分落在换行、分隔符和填充上。"
    ),
    "Which experts were chosen, layer by layer": "逐层选择了哪些专家",
    "Tokens of pictures": "图片词元",
    "Tokens of text": "文字词元",
    "Of 100 choices of a layer's router, how many fell on each expert. If all were chosen alike it would be {even}, "
    "and the most is {most}.": "每层路由器的 100 次选择中落在各专家上的次数。若均匀选择则为 {even}；最多为 {most}。",
    "Tiles encoded once": "只编码一次的切片",
    "All {tiles:,} tiles differ, so each was encoded.": "全部 {tiles:,} 个切片各不相同，因此都编码了。",
    "{encoded:,} of {tiles:,} tiles were encoded; the same pixels need it only once.": (
        "{tiles:,} 个切片中编码了 {encoded:,} 个；相同的像素只需编码一次。"
    ),
    "Collecting this took {seconds:.2f} s and {megabytes:,.1f} MB: one more pass over {tokens:,} tokens, whose "
    "attention weights and router choices were kept. An answer that is not looked into costs nothing extra.": (
        "收集这些用了 {seconds:.2f} 秒和 {megabytes:,.1f} MB：再处理一遍 {tokens:,} 个词元，"
        "保留其注意力权重和路由选择。不查看内部的回答没有额外开销。"
    ),
    "Choose a word of the answer to see where the model looked, a place on the picture to see what became of it, or an "
    "expert in the table below.": (
        "选择回答中的词，查看模型看了哪里；选择图片上的位置，查看它变成了什么；或在下表中选择一个专家。"
    ),
    "Attention": "注意力",
    "Experts": "专家",
    "Nearest words": "最近的词",
    "What is drawn": "显示内容",
    "All layers, averaged": "所有层平均",
    "Head": "注意力头",
    "All heads": "所有头",
    "Expert": "专家",
    "Each token’s first": "每个词元的首选",
    "Tiles: arrow keys move to a place, Enter chooses it": "切片：用方向键移动到位置，按回车选择",
    "Global view: arrow keys move to a place, Enter chooses it": "全局视图：用方向键移动到位置，按回车选择",
    "What it might have said here": "此处还可能说什么",
    "Choose another word, and the answer goes on from there.": "选择另一个词，回答会从那里继续。",
    "Edges of the answer’s boxes": "回答中框的边",
    "From little attention to the most": "注意力从少到多",
    "First choice of most places, with its share": "最多位置的首选专家及其占比",
    "From a small share of the token to the largest": "从占词元的小份额到最大份额",
    "Compare with the next": "与下一个比较",
    "Save as npz": "存为 npz",
    "Save as JSON": "存为 JSON",
    "Open a saved view": "打开保存的视图",
    "Kept. Now ask something else, choose another number of tiles, or open a file of another model: both will stand "
    "side by side.": "已保留。现在可以问别的问题、选择别的切片数，或打开另一个模型的文件：两者将并排显示。",
    "Side by side": "并排比较",
    "Compared": "比较项",
    "Before": "之前",
    "Now": "现在",
    "Tokens of the prompt": "提示的词元",
    "Tokens of the answer": "回答的词元",
    "Mean probability of a token": "词元的平均概率",
    "Time to look inside": "查看内部的用时",
    "What it said": "原来的回答",
    "What it says from there": "从那里继续的回答",
    "Look inside this one": "查看这个回答的内部",
    "Token {token:,}: {where}": "词元 {token:,}：{where}",
    "Words of the answer that looked here most:": "最关注这里的回答词：",
    "Experts, the heaviest first": "专家，权重大者在前",
    "More for pictures": "偏向图片",
    "More for words": "偏向文字",
    "Balance": "均衡度",
    "Balance is the entropy of the choices as a share of the most there can be: 100% where all experts are chosen "
    "alike. Choose an expert to see its tokens.": (
        "均衡度是选择的熵占其最大可能值的比例：所有专家被同等选择时为 100%。选择一个专家查看它的词元。"
    ),
    "Which experts do pictures, and which words": "哪些专家处理图片，哪些处理文字",
    "Layer * of *": "第 * 层，共 * 层",
    "Layer * of *: no experts here": "第 * 层，共 * 层：此层没有专家",
    "Words after layer *": "第 * 层之后的词",
    "The model behind this page cannot be looked into: it runs on a server elsewhere.": (
        "此页面背后的模型运行在别处的服务器上，无法查看内部。"
    ),
}
