using System.Text;
using CsCheck;
using Fairlead.Identity;

namespace Fairlead.Tests.Identity;

public sealed class CanonicalJsonTests
{
    [Theory]
    [InlineData("""{"a":1,"b":{"c":[1,2],"d":"x"}}""", """{ "b" : {"d":"x", "c":[1, 2]}, "a":1 }""")]
    [InlineData("""{"a":"é\n"}""", """{"a":"\u00e9\u000a"}""")]
    [InlineData("""{"ab":1}""", """{"\u0061b":1}""")]
    [InlineData("""[{"a":1,"b":2}]""", """[{"b":2,"a":1}]""")]
    [InlineData("{}", " {\n} ")]
    public void Add_SameContent_IsEqual(string left, string right) => Assert.Equal(KeyOf(left), KeyOf(right));

    [Theory]
    [InlineData("""{"a":1}""", """{"a":2}""")]
    [InlineData("""{"a":1}""", """{"a":"1"}""")]
    [InlineData("""{"a":1}""", """{"a":1.0}""")]
    [InlineData("""{"a":null}""", "{}")]
    [InlineData("""{"a":true}""", """{"a":false}""")]
    [InlineData("""{"a":[1,2]}""", """{"a":[2,1]}""")]
    [InlineData("""{"a":[[1],2]}""", """{"a":[[1,2]]}""")]
    [InlineData("""{"a":{"b":1},"c":2}""", """{"a":{"b":1,"c":2}}""")]
    [InlineData("""{"ab":"c"}""", """{"a":"bc"}""")]
    [InlineData("""{"a":1,"a":2}""", """{"a":2,"a":1}""")]
    [InlineData("""{"a":"{\"b\":1}"}""", """{"a":{"b":1}}""")]
    [InlineData("""["a","b"]""", """["ab"]""")]
    public void Add_DifferentContent_Differs(string left, string right) => Assert.NotEqual(KeyOf(left), KeyOf(right));

    [Fact]
    public void Add_MembersInAnyOrder_IsEqual()
    {
        var names = Gen.Int[0, 1000].Array[1, CanonicalJson.MaxSorted - 1].Select(numbers => numbers.Distinct().ToArray());
        Gen.Select(names, Gen.Int).Sample((members, seed) =>
        {
            var shuffled = members.ToArray();
            new Random(seed).Shuffle(shuffled);
            Assert.Equal(KeyOf(Write(members)), KeyOf(Write(shuffled)));
        }, iter: 200);

        static string Write(int[] members) => "{" + string.Join(",", members.Select(member => $"\"n{member}\":{{\"v\":{member}}}")) + "}";
    }

    [Fact]
    public void Add_MoreMembersThanAreSorted_StillTellsContentsApart()
    {
        string[] members = [.. Enumerable.Range(0, (CanonicalJson.MaxSorted * 3) + 7).Select(i => $"\"n{i}\":{i}")];
        var key = KeyOf("{" + string.Join(",", members) + "}");
        Assert.Equal(key, KeyOf("{" + string.Join(", ", members) + "}"));
        members[CanonicalJson.MaxSorted + 1] = "\"other\":1";
        Assert.NotEqual(key, KeyOf("{" + string.Join(",", members) + "}"));
    }

    [Fact]
    public void Add_OmittedMembers_MakesNoDifference()
    {
        var omitted = System.Collections.Frozen.FrozenSet.Create(StringComparer.Ordinal, "user");
        Assert.Equal(KeyOf("""{"a":1,"user":"u"}""", omitted), KeyOf("""{"\u0075ser":"v","a":1}""", omitted));
        // Only at the top.
        Assert.NotEqual(KeyOf("""{"a":{"user":"u"}}""", omitted), KeyOf("""{"a":{"user":"v"}}""", omitted));
    }

    [Fact]
    public void Add_LongTexts_AreCompared()
    {
        var text = new string('x', 3 * CanonicalJson.MaxDecoded);
        Assert.Equal(KeyOf($"[\"{text}\"]"), KeyOf($"[ \"{text}\"]"));
        Assert.NotEqual(KeyOf($"[\"{text}\"]"), KeyOf($"[\"{text}y\"]"));
        Assert.NotEqual(KeyOf($"[\"{text}\\n\"]"), KeyOf($"[\"{text}\\t\"]"));
    }

    [Fact]
    public void IdentityKey_Bytes_RoundTrip()
    {
        var key = KeyOf("""{"a":1}""");
        Span<byte> bytes = stackalloc byte[IdentityKey.Size];
        key.CopyTo(bytes);
        Assert.Equal(key, IdentityKey.Of(bytes));
        Assert.Matches("^[0-9a-f]{64}$", key.ToString());
    }

    [Fact]
    public void IdentityHash_ValuesOfOtherKinds_Differ()
    {
        using var hash = new IdentityHash();
        var keys = new List<IdentityKey>();
        foreach (var add in new Action<IdentityHash>[]
        {
            h => h.Add((string?)null), h => h.Add(""), h => h.Add("0"), h => h.Add(0L), h => h.Add((long?)null), h => h.Add(true),
            h => h.Add(false), h => h.Add(new string('x', 2000)), h => h.Add(new string('x', 2001)),
        })
        {
            hash.Add("before");
            add(hash);
            hash.Add("after");
            keys.Add(hash.Finish());
        }
        // A missing text and a missing number are both nothing.
        Assert.Equal(keys.Count - 1, keys.Distinct().Count());
    }

    private static IdentityKey KeyOf(string text, System.Collections.Frozen.FrozenSet<string>? omitted = null)
    {
        using var hash = new IdentityHash();
        using var json = new CanonicalJson();
        json.Add(hash, Encoding.UTF8.GetBytes(text), omitted);
        return hash.Finish();
    }
}
