using CsCheck;
using Fairlead.Access;

namespace Fairlead.Tests.Access;

public sealed class ApiKeyTextTests
{
    // Characters people and editors put where others belong, those outside ASCII included.
    private static readonly Gen<char> AnyCharacter = Gen.Frequency((8, Gen.Char.AlphaNumeric), (1, Gen.Char[' ', '~']), (1, Gen.Char));

    [Fact]
    public void New_Key_ParsesToItsPublicId()
    {
        var key = ApiKeyText.New();

        Assert.True(ApiKeyText.TryParse(key.Text, out var publicId));
        Assert.Equal(key.PublicId, publicId.ToString());
        Assert.Equal(69, key.Text.Length);
        Assert.Matches("^fl_[0-9A-Za-z]{16}_[0-9A-Za-z]{49}$", key.Text);
    }

    [Fact]
    public void New_Key_ToStringOmitsSecret()
    {
        var key = ApiKeyText.New();
        Assert.Equal("fl_" + key.PublicId, key.ToString());
    }

    [Fact]
    public void New_ManyKeys_AreAllUnique()
    {
        var keys = Enumerable.Range(0, 1000).Select(_ => ApiKeyText.New()).ToArray();
        Assert.Equal(1000, keys.Select(key => key.Text).Distinct().Count());
        Assert.Equal(1000, keys.Select(key => key.PublicId).Distinct().Count());
    }

    [Fact]
    public void TryParse_AnyCharacterChanged_ReturnsFalse() =>
        Gen.Select(Gen.Int[0, ApiKeyText.Length - 1], AnyCharacter).Sample((position, character) =>
        {
            var text = ApiKeyText.New().Text.ToCharArray();
            if (text[position] == character) return true;
            text[position] = character;
            return !ApiKeyText.TryParse(text, out _);
        }, iter: 20_000);

    [Fact]
    public void TryParse_AdjacentCharactersSwapped_ReturnsFalse() =>
        Gen.Int[3, ApiKeyText.Length - 2].Sample(position =>
        {
            var text = ApiKeyText.New().Text.ToCharArray();
            if (text[position] == text[position + 1]) return true;
            (text[position], text[position + 1]) = (text[position + 1], text[position]);
            return !ApiKeyText.TryParse(text, out _);
        }, iter: 5_000);

    [Fact]
    public void TryParse_TruncatedOrExtended_ReturnsFalse()
    {
        var text = ApiKeyText.New().Text;
        for (var length = 0; length < text.Length; length++) Assert.False(ApiKeyText.TryParse(text.AsSpan(0, length), out _));
        Assert.False(ApiKeyText.TryParse(text + "0", out _));
        Assert.False(ApiKeyText.TryParse(" " + text, out _));
    }

    [Fact]
    public void TryParse_AnyText_NeverThrows() => Gen.String.Sample(text => !ApiKeyText.TryParse(text, out _), iter: 5_000);

    /// <summary>Keys in the wild outlive a version: the form of an old one must stay readable.</summary>
    [Fact]
    public void TryParse_FirstVersionKey_StaysValid()
    {
        Assert.True(ApiKeyText.TryParse(KnownKey, out var publicId));
        Assert.Equal("AbCdEfGhIjKlMnOp", publicId.ToString());
    }

    private const string KnownKey = "fl_AbCdEfGhIjKlMnOp_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG2KTYhb";
}
