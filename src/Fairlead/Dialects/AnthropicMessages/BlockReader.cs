using System.Buffers;
using System.Buffers.Text;
using System.Text.Json;
using Fairlead.Pipeline;

namespace Fairlead.Dialects.AnthropicMessages;

/// <summary>Reads one content block: required members, their types, and what the block adds to tokens and modalities.</summary>
internal static class BlockReader
{
    private static readonly SearchValues<byte> IdCharacters =
        SearchValues.Create("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"u8);

    public static ContentBlock Read(ref BodyCursor json, MessagesPass pass, BlockPosition place)
    {
        if (!json.Object(place.Field(null))) throw RequestErrors.Type(place.Field(null), "an object", "null");
        var start = json.Start;
        var textBefore = pass.Facts.TextBytes;
        var block = new ContentBlock { Kind = BlockKind.Other };
        while (json.NextMember())
        {
            var (field, name) = FieldOf(ref json);
            if (field == BlockFields.None)
            {
                json.Next();
                json.SkipNoting(place.Field(null), "_url"u8);
                continue;
            }
            if ((block.Seen & field) != 0) throw RequestErrors.Duplicate(place.Field(name));
            block.Seen |= field;
            json.Next();
            ReadField(ref json, pass, place, field, ref block);
        }
        block.Range = new ByteRange(start, json.End - start);
        if ((block.Seen & BlockFields.Type) == 0) throw RequestErrors.Missing(place.Field("type"));
        Validate(json.Body, pass, place, ref block, textBefore);
        return block;
    }

    private static (BlockFields Field, string Name) FieldOf(ref BodyCursor json)
    {
        if (json.Is("type"u8)) return (BlockFields.Type, "type");
        if (json.Is("text"u8)) return (BlockFields.Text, "text");
        if (json.Is("cache_control"u8)) return (BlockFields.CacheControl, "cache_control");
        if (json.Is("content"u8)) return (BlockFields.Content, "content");
        if (json.Is("tool_use_id"u8)) return (BlockFields.ToolUseId, "tool_use_id");
        if (json.Is("id"u8)) return (BlockFields.Id, "id");
        if (json.Is("name"u8)) return (BlockFields.Name, "name");
        if (json.Is("input"u8)) return (BlockFields.Input, "input");
        if (json.Is("source"u8)) return (BlockFields.Source, "source");
        if (json.Is("title"u8)) return (BlockFields.Title, "title");
        if (json.Is("citations"u8)) return (BlockFields.Citations, "citations");
        if (json.Is("is_error"u8)) return (BlockFields.IsError, "is_error");
        if (json.Is("thinking"u8)) return (BlockFields.Thinking, "thinking");
        if (json.Is("signature"u8)) return (BlockFields.Signature, "signature");
        return json.Is("data"u8) ? (BlockFields.Data, "data") : (BlockFields.None, "");
    }

    private static void ReadField(ref BodyCursor json, MessagesPass pass, BlockPosition place, BlockFields field, ref ContentBlock block)
    {
        switch (field)
        {
            case BlockFields.Type: block.Kind = KindOf(ref json, place); break;
            case BlockFields.CacheControl: CacheControlReader.Read(ref json, pass, place.Field("cache_control")); break;
            case BlockFields.IsError: json.Boolean(place.Field("is_error")); break;
            case BlockFields.Text: block.Text = Value(ref json); break;
            case BlockFields.Title: block.Title = Value(ref json); break;
            case BlockFields.Id: block.Id = Value(ref json); break;
            case BlockFields.ToolUseId: block.ToolUseId = Value(ref json); break;
            case BlockFields.Name: block.Name = Value(ref json); break;
            case BlockFields.Input: block.Input = Value(ref json); break;
            case BlockFields.Thinking: block.Thinking = Value(ref json); break;
            case BlockFields.Signature: block.Signature = Value(ref json); break;
            case BlockFields.Data: block.Data = Value(ref json); break;
            case BlockFields.Citations: block.Cited = ReadCitations(ref json); break;
            case BlockFields.Source:
                if (json.Token == JsonTokenType.StartObject)
                {
                    var start = json.Start;
                    block.Source = ReadSource(ref json, pass, place);
                    block.SourceValue = new BlockValue(JsonTokenType.StartObject, new ByteRange(start, json.End - start), false);
                }
                else
                {
                    block.SourceValue = Value(ref json);
                }
                break;
            case BlockFields.Content: block.Content = ReadContent(ref json, pass, place); break;
        }
    }

    // The content of a tool result or a search result: a string, blocks, or whatever a newer server tool returns.
    private static BlockValue ReadContent(ref BodyCursor json, MessagesPass pass, BlockPosition place)
    {
        if (json.Token != JsonTokenType.StartArray || place.IsNested)
        {
            var look = json;
            look.SkipNoting(place.Field("content"), "url"u8);
            var value = Value(ref json);
            pass.Facts.TextBytes += value.Range.Length;
            return value;
        }
        var start = json.Start;
        for (var i = 0; json.NextItem(); i++) Read(ref json, pass, place with { Inside = "content", Nested = i });
        return new BlockValue(JsonTokenType.StartArray, new ByteRange(start, json.End - start), false);
    }

    private static bool ReadCitations(ref BodyCursor json)
    {
        if (json.Token != JsonTokenType.StartArray)
        {
            json.Skip();
            return false;
        }
        var any = false;
        while (json.NextItem())
        {
            any = true;
            json.Skip();
        }
        return any;
    }

    private static SourceFacts ReadSource(ref BodyCursor json, MessagesPass pass, BlockPosition place)
    {
        var source = new SourceFacts();
        while (json.NextMember())
        {
            var field = json.Is("type"u8) ? 1
                : json.Is("media_type"u8) ? 2
                : json.Is("data"u8) ? 3
                : json.Is("url"u8) ? 4
                : json.Is("file_id"u8) ? 5
                : json.Is("content"u8) ? 6
                : 0;
            json.Next();
            switch (field)
            {
                case 1: source.Type = json.Word(place.Field("source.type"), ["base64", "url", "file", "text", "content"]); break;
                case 2: source.MediaType = Value(ref json); break;
                case 3: source.Data = Value(ref json); break;
                case 4: source.Url = Value(ref json); break;
                case 5: source.FileId = Value(ref json); break;
                case 6 when json.Token == JsonTokenType.StartArray && !place.IsNested:
                    var start = json.Start;
                    for (var i = 0; json.NextItem(); i++) Read(ref json, pass, place with { Inside = "source.content", Nested = i });
                    source.Content = new BlockValue(JsonTokenType.StartArray, new ByteRange(start, json.End - start), false);
                    break;
                case 6:
                    source.Content = Value(ref json);
                    pass.Facts.TextBytes += source.Content.Range.Length;
                    break;
                default: json.SkipNoting(place.Field("source"), "url"u8); break;
            }
        }
        return source;
    }

    private static BlockValue Value(ref BodyCursor json)
    {
        var token = json.Token;
        var escaped = token == JsonTokenType.String && json.IsEscaped;
        return new BlockValue(token, json.SkipRange(), escaped);
    }

    private static BlockKind KindOf(ref BodyCursor json, BlockPosition place)
    {
        json.RequiredText(place.Field("type"));
        if (json.Is("text"u8)) return BlockKind.Text;
        if (json.Is("tool_use"u8)) return BlockKind.ToolUse;
        if (json.Is("tool_result"u8)) return BlockKind.ToolResult;
        if (json.Is("image"u8)) return BlockKind.Image;
        if (json.Is("document"u8)) return BlockKind.Document;
        if (json.Is("thinking"u8)) return BlockKind.Thinking;
        if (json.Is("redacted_thinking"u8)) return BlockKind.RedactedThinking;
        return json.Is("search_result"u8) ? BlockKind.SearchResult : BlockKind.Other;
    }

    private static void Validate(ReadOnlySpan<byte> body, MessagesPass pass, BlockPosition place, ref ContentBlock block, int textBefore)
    {
        var facts = pass.Facts;
        if (place.IsSystem && block.Kind != BlockKind.Text)
        {
            throw RequestErrors.Value(place.Field("type"), "'system' holds text blocks only.");
        }
        if (place.IsNested && (block.Kind is BlockKind.ToolUse or BlockKind.ToolResult or BlockKind.Thinking or BlockKind.RedactedThinking))
        {
            throw RequestErrors.Value(place.Field("type"), "this kind of block is not allowed inside another block.");
        }
        switch (block.Kind)
        {
            case BlockKind.Text:
                Text(block.Text, place, "text");
                if (block.Text.Inner.IsEmpty && place.IsSystem) throw RequestErrors.EmptyString(place.Field("text"));
                facts.TextBytes += block.Text.Inner.Length;
                break;

            case BlockKind.Image:
                ValidateSource(body, pass, place, block, isImage: true);
                facts.ImageCount++;
                pass.Note(RequestFeatures.Images, place.Field(null));
                break;

            case BlockKind.Document:
                ValidateSource(body, pass, place, block, isImage: false);
                pass.Note(RequestFeatures.Files, place.Field(null));
                break;

            case BlockKind.SearchResult:
                Text(block.SourceValue, place, "source");
                Text(block.Title, place, "title");
                if (block.Content.IsAbsent) throw RequestErrors.Missing(place.Field("content"));
                if (block.Content.Token != JsonTokenType.StartArray)
                {
                    throw RequestErrors.Type(place.Field("content"), "an array", "something else");
                }
                facts.TextBytes += block.SourceValue.Inner.Length + block.Title.Inner.Length;
                break;

            case BlockKind.ToolUse:
                Id(body, pass, block.Id, place, "id");
                Text(block.Name, place, "name");
                if (block.Name.Inner.IsEmpty) throw RequestErrors.EmptyString(place.Field("name"));
                if (block.Input.IsAbsent) throw RequestErrors.Missing(place.Field("input"));
                if (block.Input.Token != JsonTokenType.StartObject)
                {
                    throw RequestErrors.Type(place.Field("input"), "an object", "something else");
                }
                facts.TextBytes += block.Name.Inner.Length + block.Input.Range.Length;
                break;

            case BlockKind.ToolResult:
                Id(body, pass, block.ToolUseId, place, "tool_use_id");
                if (block.Content.Token is not (JsonTokenType.None or JsonTokenType.Null or JsonTokenType.String
                    or JsonTokenType.StartArray))
                {
                    throw RequestErrors.Type(place.Field("content"), "a string or an array of blocks", "something else");
                }
                break;

            case BlockKind.Thinking:
                Text(block.Thinking, place, "thinking");
                // Thinking of another vendor's model, as clients send it back.
                if (!block.Signature.IsAbsent) Text(block.Signature, place, "signature");
                NoCaching(block, place);
                facts.TextBytes += block.Thinking.Inner.Length;
                break;

            case BlockKind.RedactedThinking:
                Text(block.Data, place, "data");
                NoCaching(block, place);
                facts.TextBytes += block.Data.Inner.Length;
                break;

            default:
                // Only the size of an unknown block is known. It limits the number of its tokens.
                facts.TextBytes = textBefore + block.Range.Length;
                break;
        }
    }

    private static void ValidateSource(ReadOnlySpan<byte> body, MessagesPass pass, BlockPosition place, in ContentBlock block, bool isImage)
    {
        if (block.SourceValue.IsAbsent) throw RequestErrors.Missing(place.Field("source"));
        if (block.SourceValue.Token != JsonTokenType.StartObject)
        {
            throw RequestErrors.Type(place.Field("source"), "an object", "something else");
        }
        var source = block.Source;
        switch (source.Type)
        {
            case null:
                throw RequestErrors.Missing(place.Field("source.type"));

            case "base64":
                Text(source.MediaType, place, "source.media_type");
                Text(source.Data, place, "source.data");
                ValidateMediaType(body, source, place, isImage);
                if (source.Data.Inner.IsEmpty) throw RequestErrors.EmptyString(place.Field("source.data"));
                // A slash may be escaped in JSON; the provider validates such data.
                if (!source.Data.Escaped && !Base64.IsValid(Slice(body, source.Data.Inner)))
                {
                    throw RequestErrors.Value(place.Field("source.data"), "this is not base64.");
                }
                pass.CountMedia(place.Field("source.data"), source.Data.Inner.Length);
                if (isImage) break;
                pass.Facts.MediaBytes += source.Data.Inner.Length;
                pass.Note(RequestFeatures.PdfFiles, place.Field(null));
                break;

            case "url":
                Text(source.Url, place, "source.url");
                var url = Slice(body, source.Url.Inner);
                if (!source.Url.Escaped && !url.StartsWith("https://"u8) && !url.StartsWith("http://"u8))
                {
                    throw RequestErrors.Value(place.Field("source.url"), "the address must start with https:// or http://.");
                }
                pass.Facts.NoteAddress(url, source.Url.Escaped, place.Field("source.url"));
                if (!isImage) pass.Note(RequestFeatures.PdfFiles, place.Field(null));
                break;

            case "file":
                Text(source.FileId, place, "source.file_id");
                break;

            case "text" when !isImage:
                Text(source.Data, place, "source.data");
                pass.Facts.TextBytes += source.Data.Inner.Length;
                break;

            case "content" when !isImage:
                if (source.Content.IsAbsent) throw RequestErrors.Missing(place.Field("source.content"));
                if (source.Content.Token is not (JsonTokenType.String or JsonTokenType.StartArray))
                {
                    throw RequestErrors.Type(place.Field("source.content"), "a string or an array of blocks", "something else");
                }
                break;

            default:
                throw RequestErrors.OneOf(place.Field("source.type"), ["base64", "url", "file"]);
        }
    }

    private static void ValidateMediaType(ReadOnlySpan<byte> body, in SourceFacts source, BlockPosition place, bool isImage)
    {
        if (source.MediaType.Escaped) return;
        var type = Slice(body, source.MediaType.Inner);
        if (isImage)
        {
            if (type.SequenceEqual("image/jpeg"u8) || type.SequenceEqual("image/png"u8) || type.SequenceEqual("image/gif"u8)
                || type.SequenceEqual("image/webp"u8))
            {
                return;
            }
            throw RequestErrors.OneOf(place.Field("source.media_type"), ["image/jpeg", "image/png", "image/gif", "image/webp"]);
        }
        if (!type.SequenceEqual("application/pdf"u8)) throw RequestErrors.OneOf(place.Field("source.media_type"), ["application/pdf"]);
    }

    private static void Text(BlockValue value, BlockPosition place, string name)
    {
        if (value.IsText) return;
        throw value.IsAbsent
            ? RequestErrors.Missing(place.Field(name))
            : RequestErrors.Type(place.Field(name), "a string", "something else");
    }

    private static void Id(ReadOnlySpan<byte> body, MessagesPass pass, BlockValue value, BlockPosition place, string name)
    {
        Text(value, place, name);
        if (value.Inner.IsEmpty || value.Inner.Length > 256) throw RequestErrors.Value(place.Field(name), "an id has 1 to 256 characters.");
        // Other servers use other characters in ids.
        if (Slice(body, value.Inner).ContainsAnyExcept(IdCharacters)) (pass.Facts.ForeignIds ??= []).Add(value.Range);
    }

    private static void NoCaching(in ContentBlock block, BlockPosition place)
    {
        if ((block.Seen & BlockFields.CacheControl) != 0)
        {
            throw RequestErrors.Value(place.Field("cache_control"), "thinking blocks cannot be cache breakpoints.");
        }
    }

    private static ReadOnlySpan<byte> Slice(ReadOnlySpan<byte> body, ByteRange range) => body.Slice(range.Start, range.Length);
}
