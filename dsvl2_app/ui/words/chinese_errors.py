"""Every error and notice of the page in Chinese, by what it is in English (see translations.py)."""

from __future__ import annotations

CHINESE_ERRORS = {
    "Something went wrong on the server, which has noted it; please try again.": "服务器出错，已记录此问题；请重试。",
    "These weights are random: everything works and costs what it should, but the words are noise.": (
        "这些权重是随机的：一切功能和开销都与实际相同，但文字毫无意义。"
    ),
    "random weights": "随机权重",
    "There is no document; add a PDF or pictures first.": "还没有文档；请先添加 PDF 或图片。",
    "There is no question of your own yet; type one.": "还没有输入自己的问题；请输入。",
    "A page is chosen twice; choose each once.": "有一页选了两次；请每页只选一次。",
    "A frame is chosen twice; choose each once.": "有一帧选了两次；请每帧只选一次。",
    "A still is chosen twice; choose each once.": "有一张画面选了两次；请每张画面只选一次。",
    "There is no such page; reload the page and try again.": "没有这一页；请重新加载页面后再试。",
    "None of these has a text of its own; choose the model's.": "这些都没有自带的文字；请选择模型读出的文字。",
    "Nothing is read yet; press Read first.": "还没有读过任何内容；请先点“开始读”。",
    "The task is {task!r}; choose one of {tasks}.": "任务是 {task!r}；请从 {tasks} 中选择。",
    "What this browser kept is no conversation of this page; delete it there.": (
        "此浏览器保存的内容不是本页面的对话；请在列表中删除。"
    ),
    "{name} is a video that cannot be decoded; save it as MP4, or a still from it as PNG or JPEG.": (
        "{name} 是无法解码的视频；请另存为 MP4，或将其中一帧存为 PNG 或 JPEG。"
    ),
    "{name} takes too long to decode; cut the clip shorter.": "{name} 解码时间过长；请把片段剪短。",
    "Pages are written as 1-3, 7; {text!r} is no such list.": "页码的写法如 1-3, 7；{text!r} 不是这样的列表。",
    "There are pages 1 to {count:,}; {text!r} names others.": "只有第 1 至 {count:,} 页；{text!r} 超出了范围。",
    "At most {most} pages are read at once; choose fewer.": "一次最多读 {most} 页；请少选一些。",
    "Frames are written as 1-3, 7; {text!r} is no such list.": "帧号的写法如 1-3, 7；{text!r} 不是这样的列表。",
    "There are frames 1 to {count:,}; {text!r} names others.": "只有第 1 至 {count:,} 帧；{text!r} 超出了范围。",
    "At most {most} frames are read at once; choose fewer.": "一次最多读 {most} 帧；请少选一些。",
    "Stills are written as 1-3, 7; {text!r} is no such list.": "画面编号的写法如 1-3, 7；{text!r} 不是这样的列表。",
    "There are stills 1 to {count:,}; {text!r} names others.": "只有第 1 至 {count:,} 张画面；{text!r} 超出了范围。",
    "At most {most} stills are read at once; choose fewer.": "一次最多读 {most} 张画面；请少选一些。",
    "There is no conversation yet; ask something first.": "还没有对话；请先提问。",
    # A model's server elsewhere
    "--backend openai needs --api-base, the address of a server such as http://localhost:8000/v1.": (
        "--backend openai 需要 --api-base，即服务器地址，例如 http://localhost:8000/v1。"
    ),
    "--backend openai loads no weights; leave --load-format out.": (
        "--backend openai 不加载权重；请去掉 --load-format。"
    ),
    "--api-key-env names {name}, which is not set; put the key into it.": (
        "--api-key-env 指定的 {name} 未设置；请将密钥放入其中。"
    ),
    "The model's server says: {reason}": "模型服务器返回：{reason}",
    "The model's server {address} has been silent for {seconds:g} s; try again, or wait for it longer with "
    "--api-timeout.": "模型服务器 {address} 已有 {seconds:g} 秒没有响应；请重试，或用 --api-timeout 延长等待时间。",
    "The connection to the model's server {address} broke, so the answer ends here; try again.": (
        "与模型服务器 {address} 的连接已中断，回答到此为止；请重试。"
    ),
    "No model's server answers at {address}; check --api-base, or try again once it is up.": (
        "{address} 没有模型服务器响应；请检查 --api-base，或待其启动后重试。"
    ),
    "The model's server {address} refuses the API key; name the variable that holds another one with "
    "--api-key-env.": "模型服务器 {address} 拒绝了 API 密钥；请用 --api-key-env 指定保存其他密钥的变量。",
    "The model's server {address} has no model {model}; name another one with --remote-model.": (
        "模型服务器 {address} 上没有模型 {model}；请用 --remote-model 指定其他模型。"
    ),
    "The model's server {address} answers with status {status}; check --api-base, which usually ends in /v1.": (
        "模型服务器 {address} 返回状态码 {status}；请检查 --api-base，它通常以 /v1 结尾。"
    ),
    "The model's server {address} answers what is not of the OpenAI protocol; check --api-base.": (
        "模型服务器 {address} 的响应不符合 OpenAI 协议；请检查 --api-base。"
    ),
    "The model's server cuts pictures into tiles by the official rule alone; choose Automatic, and as many "
    "tiles as there can be.": "模型服务器只按官方规则切分图片；请选择“自动”，并将图块数设为最大。",
    "The model's server cannot keep boxes well-formed; ask without that.": (
        "模型服务器无法保证框的格式正确；请关闭该选项后再提问。"
    ),
    "The message holds {token}, which the model's server would take for a mark of its own; write it differently.": (
        "消息中含有 {token}，模型服务器会将其视为自身的标记；请换一种写法。"
    ),
    "A model's server elsewhere does not tell how likely its tokens were.": "外部模型服务器不提供词元的概率。",
    "This answer was opened from a file; ask its question above to go on from another word.": (
        "此回答来自文件；要从另一个词继续，请在上面提出其问题。"
    ),
    "A model's server elsewhere does not go on from given tokens.": "外部模型服务器不能从给定的词元继续。",
    "An answer cannot begin with token {token}, the {place}th of its prefix; leave it out.": (
        "回答不能以词元 {token}（前缀的第 {place} 个）开头；请去掉它。"
    ),
    "The answer begins with boxes that are not well-formed; ask without that grammar.": (
        "回答开头的框格式不正确；请不使用该语法提问。"
    ),
    "A model's server elsewhere cannot be looked into; run the model in this process for that.": (
        "无法查看外部模型服务器的内部；请在本进程中运行模型。"
    ),
    "The model's server has another checkpoint than --model names, so the tokens and tiles counted here are not those "
    "that it counts.": "模型服务器的检查点与 --model 指定的不同，因此此处统计的词元数和图块数与服务器的不一致。",
    # ZeroGPU
    "--backend zerogpu needs a package that is not installed; run: pip install spaces.": (
        "--backend zerogpu 需要一个尚未安装的软件包；请运行：pip install spaces。"
    ),
    "--backend zerogpu builds no kernels; leave --compile out.": "--backend zerogpu 不编译内核；请去掉 --compile。",
    "Your GPU time on Hugging Face does not suffice for this answer; log in there for more of it, let the answer have "
    "fewer tokens, or try again later.": (
        "您在 Hugging Face 上剩余的 GPU 时间不足以完成此回答；请登录以获得更多时间、减少回答的词元数，或稍后重试。"
    ),
    "Answers that are being written hold all of your GPU time; let one of them end first.": (
        "正在生成的回答占用了您全部的 GPU 时间；请先等其中一个结束。"
    ),
    "The answer may need a GPU for longer than ZeroGPU lends one; let it have fewer tokens.": (
        "此回答占用 GPU 的时间可能超过 ZeroGPU 的上限；请减少回答的词元数。"
    ),
    "No GPU was free for a minute; try again.": "一分钟内没有空闲的 GPU；请重试。",
    "ZeroGPU had no GPU to lend; reload the page and try again.": "ZeroGPU 没有可用的 GPU；请刷新页面后重试。",
    "The GPU was taken away before the answer had ended, or its process failed; try again.": (
        "回答尚未完成，GPU 已被收回或其进程已出错；请重试。"
    ),
    # Pictures
    "There is no picture; choose one first.": "没有图片；请先选择一张。",
    "There is no picture; send at least one.": "没有图片；请至少发送一张。",
    "A picture must be an uploaded file; clients send it with handle_file(path or URL).": (
        "图片必须是上传的文件；客户端请用 handle_file(路径或 URL) 发送。"
    ),
    "A picture must be an uploaded file, or an address that begins with https:// or data:image/.": (
        "图片必须是上传的文件，或以 https:// 或 data:image/ 开头的地址。"
    ),
    "A picture must be a file, bytes or a PIL image, not {kind}.": "图片必须是文件、字节或 PIL 图片，而不是 {kind}。",
    "An array of shape {shape} and type {kind} is no picture; give [height, width, 3] or [3, height, width], "
    "whole numbers from 0 to 255 or floats from 0 to 1.": (
        "形状为 {shape}、类型为 {kind} 的数组不是图片；"
        "请给出 [高, 宽, 3] 或 [3, 高, 宽]，取 0 到 255 的整数或 0 到 1 的浮点数。"
    ),
    "The picture is no whole base64; encode the bytes of its file.": (
        "图片不是完整的 base64；请对其文件的字节进行编码。"
    ),
    "{address} cannot be fetched; give the public address of a picture.": (
        "无法获取 {address}；请提供可公开访问的图片地址。"
    ),
    "Pictures are not fetched from {domain}; send the picture itself, as a data URL.": (
        "不从 {domain} 获取图片；请以 data URL 的形式直接发送图片。"
    ),
    "There is no file {name}; check the path.": "找不到文件 {name}；请检查路径。",
    "{name} is a folder; choose a picture in it.": "{name} 是文件夹；请选择其中的一张图片。",
    "{name} is not a regular file; choose a picture file.": "{name} 不是普通文件；请选择图片文件。",
    "{name} may not be read; change its permissions or choose another file.": (
        "没有读取 {name} 的权限；请更改其权限或选择其他文件。"
    ),
    "{name} cannot be opened ({reason}); check the path.": "无法打开 {name}（{reason}）；请检查路径。",
    "{name} is empty (0 bytes); choose another file.": "{name} 是空文件（0 字节）；请选择其他文件。",
    "{name} has {size:.1f} MB and the limit is {most:g} MB; save it smaller or with more compression.": (
        "{name} 有 {size:.1f} MB，上限为 {most:g} MB；请缩小图片或提高压缩率后再保存。"
    ),
    "{name} in the .zip is larger than {most} MB; import a smaller one.": (
        ".zip 中的 {name} 超过 {most} MB；请导入较小的文件。"
    ),
    "{name} has far too many pixels; make it smaller.": "{name} 的像素过多；请缩小图片。",
    "{name} is {width}x{height} px ({megapixels:.1f} megapixels) and the limit is {most:g} megapixels; "
    "make it smaller.": (
        "{name} 为 {width}x{height} 像素（{megapixels:.1f} 百万像素），上限为 {most:g} 百万像素；请缩小图片。"
    ),
    "{name} is {width}x{height} px; both sides need at least 1 px.": (
        "{name} 为 {width}x{height} 像素；两边都至少需要 1 像素。"
    ),
    "The picture is {width}x{height} px; both sides need at least 1 px.": (
        "图片为 {width}x{height} 像素；两边都至少需要 1 像素。"
    ),
    "{name} has no page {number}; choose an earlier one.": "{name} 没有第 {number} 页；请选择前面的页。",
    "{name} has no frame {number}; choose an earlier one.": "{name} 没有第 {number} 帧；请选择前面的帧。",
    "{name} has no still {number}; choose an earlier one.": "{name} 没有第 {number} 张画面；请选择前面的画面。",
    "{name} has changed since it was chosen; choose it again.": "{name} 在选择之后已被更改；请重新选择。",
    "{name} is damaged or incomplete; save or send it again.": "{name} 已损坏或不完整；请重新保存或发送。",
    "{name} is an uncompressed TIFF whose YCbCr colours are subsampled, which is not supported; "
    "save it as JPEG or PNG.": "{name} 是色度子采样的未压缩 YCbCr TIFF，不受支持；请另存为 JPEG 或 PNG。",
    "{name} takes too long to decode; save it as JPEG or PNG.": "{name} 解码耗时过长；请另存为 JPEG 或 PNG。",
    "{name} is a HEIC picture, which needs one more package: "
    "run `pip install pillow-heif`, or save the picture as JPEG or PNG.": (
        "{name} 是 HEIC 图片，需要另装一个软件包：请运行 `pip install pillow-heif`，或将图片另存为 JPEG 或 PNG。"
    ),
    "{name} is locked with a password; save it without one.": "{name} 有密码保护；请另存为没有密码的文件。",
    "{name} takes too long to render; save the page as PNG or JPEG.": "{name} 渲染太慢；请将该页另存为 PNG 或 JPEG。",
    "{name} is a PDF document, which needs one more package: run `pip install pypdfium2`, or save the page as "
    "PNG or JPEG.": "{name} 是 PDF 文档，还需要一个软件包：运行 `pip install pypdfium2`，或将该页另存为 PNG 或 JPEG。",
    "{name} has {pages:,} pages and the limit is {most:,}; split it.": (
        "{name} 有 {pages:,} 页，上限为 {most:,} 页；请拆分。"
    ),
    "{name} is an SVG drawing; export it as PNG first.": "{name} 是 SVG 图形；请先导出为 PNG。",
    "{name} is a video; save a still from it as PNG or JPEG first.": (
        "{name} 是视频；请先将其中一帧另存为 PNG 或 JPEG。"
    ),
    "{name} is text, not a picture; choose a JPEG, PNG, WebP, AVIF, HEIC, GIF, BMP, TIFF or PDF file.": (
        "{name} 是文本而不是图片；请选择 JPEG、PNG、WebP、AVIF、HEIC、GIF、BMP、TIFF 或 PDF 文件。"
    ),
    "{name} is not a picture of a known kind; choose a JPEG, PNG, WebP, AVIF, HEIC, GIF, BMP, TIFF or PDF file.": (
        "{name} 不是已知类型的图片；请选择 JPEG、PNG、WebP、AVIF、HEIC、GIF、BMP、TIFF 或 PDF 文件。"
    ),
    "{name} is {width}x{height} px and the limit of a side is {limit:,} px; cut it into pieces.": (
        "{name} 为 {width}x{height} 像素，每边上限为 {limit:,} 像素；请裁成几张。"
    ),
    # Messages and conversations
    "The conversation has {characters:,} characters, more than {context:,} tokens hold; write less.": (
        "对话有 {characters:,} 个字符，超过 {context:,} 个词元所能容纳；请缩短文字。"
    ),
    "A picture of the conversation is the name of a file; send the picture itself.": (
        "对话中的图片只是文件名；请发送图片本身。"
    ),
    "The message is empty; type a question.": "消息为空；请输入问题。",
    "The message is not a user's; put earlier answers into the history.": (
        "该消息不是用户的；请将之前的回答放入 history。"
    ),
    "There is no question about the picture yet; type one.": "还没有关于图片的问题；请输入一个。",
    "There is no question yet; type one.": "还没有问题；请输入一个。",
    "There is no picture to ask about; add one above first.": "没有可提问的图片；请先在上面添加一张。",
    "There is nothing to look for yet; type a phrase or a question.": "还没有要查找的内容；请输入短语或问题。",
    "The answer is empty, so there is nothing to look into; ask something else.": (
        "回答为空，没有内部可查看；请换一个问题。"
    ),
    "The conversation has {tokens} tokens and {model} holds {context} with its answer; "
    "remove pictures or earlier turns, or write less.": (
        "对话有 {tokens} 个词元，而 {model} 连同回答最多容纳 {context} 个；请移除图片或之前的轮次，或缩短文字。"
    ),
    "The conversation has {tokens} tokens, {share} of them for {pictures} picture(s), and {model} holds "
    "{context} with its answer; remove pictures or earlier turns, or write less.": (
        "对话有 {tokens} 个词元，其中 {pictures} 张图片占 {share} 个，而 {model} 连同回答最多容纳 {context} 个；"
        "请移除图片或之前的轮次，或缩短文字。"
    ),
    "This file is no conversation of this page; choose a .zip that it exported.": (
        "此文件不是本页面的对话；请选择由本页面导出的 .zip 文件。"
    ),
    "The conversation is empty; write a message first.": "对话为空；请先写一条消息。",
    "The conversation has no message of a user; write one first.": "对话中没有用户的消息；请先写一条。",
    "Message {number} is a system prompt; only the first message can be one.": (
        "第 {number} 条消息是系统提示；只有第一条消息可以是系统提示。"
    ),
    "Message {number} is a system prompt and holds an image; only users can show images.": (
        "第 {number} 条消息是系统提示却含有图片；只有用户可以发送图片。"
    ),
    "Message {number} is the assistant's and holds an image; only users can show images.": (
        "第 {number} 条消息来自助手却含有图片；只有用户可以发送图片。"
    ),
    "Message {number} needs a role (user, assistant or system) and content; got {message}.": (
        "第 {number} 条消息需要 role（user、assistant 或 system）和 content；收到的是 {message}。"
    ),
    "Message {number} has a part that is neither text nor an image: {part}; "
    'write {{"type": "text", "text": ...}} or {{"type": "image", "image": ...}}.': (
        "第 {number} 条消息有一部分既不是文字也不是图片：{part}；"
        '请写成 {{"type": "text", "text": ...}} 或 {{"type": "image", "image": ...}}。'
    ),
    "Message {number} has {name!r}, which is not understood; write its text and pictures as content.": (
        "第 {number} 条消息含有无法理解的 {name!r}；请将文字和图片写在 content 中。"
    ),
    "Message {number} has {places} <image> for {images} pictures beside its content; write one for each.": (
        "第 {number} 条消息有 {places} 个 <image>，而 content 之外有 {images} 张图片；请为每张图片写一个。"
    ),
    "The text has {places} <image> tokens for {images} images; write one for each image.": (
        "文字中有 {places} 个 <image>，而图片有 {images} 张；请为每张图片写一个。"
    ),
    "The conversation has {pictures} pictures of at least {tokens} tokens each, more than {context:,} tokens "
    "hold; remove some.": (
        "对话有 {pictures} 张图片，每张至少 {tokens} 个词元，超过 {context:,} 个词元所能容纳；请移除一些。"
    ),
    "The prompt has {tokens} tokens, and cutting it to {length} would cut picture {number}; "
    "allow more tokens, or show fewer or squarer pictures.": (
        "提示有 {tokens} 个词元，截到 {length} 个会切断第 {number} 张图片；"
        "请允许更多词元，或减少图片、使用更接近方形的图片。"
    ),
    'A message must be text or {"text": ..., "files": [...]}.': '消息必须是文字或 {"text": ..., "files": [...]}。',
    'A message must be {"text": ..., "files": [...]}, text first, then a list of pictures.': (
        '消息必须是 {"text": ..., "files": [...]}，先是文字，然后是图片列表。'
    ),
    'The history must be a list of {"role": ..., "content": ...}.': (
        'history 必须是由 {"role": ..., "content": ...} 组成的列表。'
    ),
    # Room for files
    "A request may bring {number} files at most; send them in several.": (
        "一个请求最多可带 {number} 个文件；请分多次发送。"
    ),
    "The server's room for files, {most} MB, is full; try again later.": (
        "服务器存放文件的空间 {most} MB 已满；请稍后再试。"
    ),
    "{number} files within an hour are the most that this server takes from a network address; "
    "try again later.": "此服务器每小时最多接受来自同一网络地址的 {number} 个文件；请稍后再试。",
    "{most} MB within an hour are the most that this server takes from a network address; try again later.": (
        "此服务器每小时最多接受来自同一网络地址的 {most} MB；请稍后再试。"
    ),
    # What no page sends
    "What was sent does not fit here; reload the page and try again, or see the API's documentation.": (
        "发送的内容不适用于此处；请重新加载页面后重试，或查看 API 文档。"
    ),
    "There are no boxes in this conversation; ask for some first.": "此对话中没有框；请先提问以得到框。",
    "There is no picture in this conversation; ask about one first.": "此对话中没有图片；请先就图片提问。",
    "Other boxes have taken the place of those that you corrected; correct these.": (
        "你修正的框已被其他框取代；请修正现在的框。"
    ),
    "There are no such boxes; reload the page and try again.": "没有这样的框；请重新加载页面后重试。",
    "{number} phrases are too many at once; look for {most}.": "一次 {number} 个短语太多；请查找 {most} 个。",
    "There is no such choice; reload the page and try again.": "没有这个选项；请重新加载页面后重试。",
    "There is no such event; reload the page and try again.": "没有这个事件；请重新加载页面后重试。",
    "This page was opened in another browser; reload it to begin anew.": "此页面在另一个浏览器中打开；请重新加载。",
    # Rectangles
    "Nothing is marked yet; drag a rectangle around the thing in the example picture.": (
        "还没有标出物体；请在示例图片中拖动矩形框住它。"
    ),
    "The rectangle is {box}; give four numbers, left, top, right, bottom in pixels.": (
        "矩形为 {box}；请给出四个数字：左、上、右、下，以像素计。"
    ),
    "The rectangle {box} holds nothing of the {width} x {height} px picture; "
    "left must be less than right, and top less than bottom.": (
        "矩形 {box} 不含 {width} x {height} 像素图片的任何部分；左必须小于右，上必须小于下。"
    ),
    'The mode "in_context" needs an example and a rectangle around the thing in it.': (
        '模式 "in_context" 需要一张示例图片和框住其中物体的矩形。'
    ),
    # Settings
    "The {name} is {value!r}; choose a number between {low} and {high}.": (
        "{name} 为 {value!r}；请选择 {low} 到 {high} 之间的数。"
    ),
    "The {name} is {value!r}; choose a whole number between {low} and {high}.": (
        "{name} 为 {value!r}；请选择 {low} 到 {high} 之间的整数。"
    ),
    "The {name} is {value!r}; choose a whole number from 1 up.": "{name} 为 {value!r}；请选择不小于 1 的整数。",
    "The {name} is {value!r}; choose a whole number.": "{name} 为 {value!r}；请选择整数。",
    "The {name} is {value!r}; choose true or false.": "{name} 为 {value!r}；请选择是或否。",
    "The mode is {mode!r}; choose one of {modes}.": "模式为 {mode!r}；请选择以下之一：{modes}。",
    "The tiling is {tiling!r}; choose one of {tilings}.": "切片方式为 {tiling!r}；请选择以下之一：{tilings}。",
    "No tile grid of this model has at most {most} tiles; allow more.": (
        "此模型没有不超过 {most} 个切片的网格；请允许更多切片。"
    ),
    "The checkpoint's tokenizer has no tokens to write boxes with; use its own one.": (
        "此检查点的分词器没有用来写框的词元；请使用它自带的分词器。"
    ),
    "{model} computes what is no number in {dtype}; start it with --dtype bfloat16 or float32, or check its weights.": (
        "{model} 用 {dtype} 算出了非数值；请用 --dtype bfloat16 或 float32 启动，或检查其权重。"
    ),
    # What in an answer is no box, and what was mended
    "{tag} closes nothing": "{tag} 没有对应的开始标记",
    "{tag} is not closed": "{tag} 没有对应的结束标记",
    "a label without boxes": "标签没有框",
    "no boxes": "没有框",
    "this is not part of a list [[x1, y1, x2, y2], ...]": "这不属于形如 [[x1, y1, x2, y2], ...] 的列表",
    "a list of boxes that does not end": "框的列表没有闭合",
    "a box that does not end": "框没有闭合",
    "brackets inside a box": "框内有括号",
    "a box with misplaced commas": "框内逗号位置不对",
    "a box needs 4 numbers and has {number}": "框需要 4 个数，却有 {number} 个",
    "{word!r} is not a whole number": "{word!r} 不是整数",
    "clipped": "已裁到图片边缘",
    "corners swapped": "已对调角点",
    # The queue
    "{number} requests are already waiting; try again in a moment.": "已有 {number} 个请求在等待；请稍后再试。",
    "{number} of your requests are already waiting; let one of them end first.": (
        "您已有 {number} 个请求在等待；请先等其中一个结束。"
    ),
    "The model has stopped working; start the app again.": "模型已停止工作；请重新启动应用。",
    "You have sent {number} requests within a minute, the most that this server takes; wait {seconds} s.": (
        "您在一分钟内已发送 {number} 个请求，达到此服务器的上限；请等待 {seconds} 秒。"
    ),
    "{number} requests from your network address are running or waiting, the most that this server takes; "
    "let one of them end first.": (
        "来自您网络地址的 {number} 个请求正在运行或等待，达到此服务器的上限；请先等其中一个结束。"
    ),
    "The question has {number} pictures, and this server takes {most} in a question; remove some.": (
        "问题有 {number} 张图片，而此服务器每个问题最多接受 {most} 张；请移除一些。"
    ),
    "The conversation has {number} pictures, and this server takes {most} in all; begin another one.": (
        "对话有 {number} 张图片，而此服务器总共最多接受 {most} 张；请开始新的对话。"
    ),
    "The conversation has {tokens:,} tokens, and this server takes {most:,}; shorten it, remove "
    "pictures, or begin another one.": (
        "对话有 {tokens:,} 个词元，而此服务器最多接受 {most:,} 个；请缩短、移除图片，或开始新的对话。"
    ),
    "The server has too little memory for this request; try fewer or smaller pictures or fewer words, or later.": (
        "服务器内存不足，无法处理此请求；请减少或缩小图片、减少文字，或稍后再试。"
    ),
    "The server's disk is full; try again later, or tell whoever runs it.": (
        "服务器磁盘已满；请稍后再试，或告知其管理者。"
    ),
    "The model is shutting down; start the app again to ask more.": "模型正在关闭；如要继续提问，请重新启动应用。",
    "{name} is no inspection of this app, or is damaged; choose an .npz or .json that it has written.": (
        "{name} 不是此应用的内部查看文件，或已损坏；请选择由它写出的 .npz 或 .json。"
    ),
    'The format is {format!r}; choose "npz" or "json".': "格式为 {format!r}；请选择 npz 或 json。",
    "There is nothing here to save; look into an answer first.": "这里没有可保存的内容；请先查看一个回答的内部。",
}
